// Anonymous memory: patterns, protections, holes, zero pages, brk; a modified private file mapping; memory shared by
// fork.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "check.h"

enum { PAGE = 4096, PAGES = 2000 };

int main(int count, char** arguments) {
  begin(count, arguments);
  unsigned long* area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  for (unsigned long i = 0; i < PAGES; i += 2) area[i * PAGE / 8] = i * 2654435761u + 1;
  CHECK(munmap((char*)area + 100 * PAGE, 10 * PAGE) == 0);
  CHECK(mprotect((char*)area + 200 * PAGE, 10 * PAGE, PROT_READ) == 0);
  CHECK(mprotect((char*)area + 220 * PAGE, 10 * PAGE, PROT_NONE) == 0);
  volatile unsigned long touched = area[301 * PAGE / 8];  // the zero page
  CHECK(touched == 0);
  char* program = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, open(arguments[0], O_RDONLY), 0);
  CHECK(program != MAP_FAILED && memcmp(program, "\177ELF", 4) == 0);
  program[100] = 'x';
  unsigned long* shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  char* heap = sbrk(3 * PAGE + 100);
  memset(heap, 7, 3 * PAGE);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    while (!told_to_stop()) {
      shared[0]++;
      pause_ms(1);
    }
    _exit(0);
  }
  ready();
  unsigned long seen = 0, growth = 0;
  do {
    for (unsigned long i = 0; i < PAGES; i++) {
      if ((i >= 100 && i < 110) || (i >= 220 && i < 230)) continue;
      CHECK(area[i * PAGE / 8] == (i % 2 == 0 ? i * 2654435761u + 1 : 0));
    }
    CHECK(program[100] == 'x' && memcmp(program, "\177ELF", 4) == 0);
    for (int i = 0; i < 3 * PAGE; i++) CHECK(heap[i] == 7);
    CHECK(shared[0] >= seen);
    seen = shared[0];
    if (growth++ % 50 == 0) CHECK(sbrk(PAGE) != (void*)-1);
    pause_ms(5);
  } while (!told_to_stop());
  CHECK(seen > 10);
  CHECK(mprotect((char*)area + 200 * PAGE, 10 * PAGE, PROT_READ | PROT_WRITE) == 0);
  area[205 * PAGE / 8] = 5;
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return pass();
}
