// Guard pages (MADV_GUARD_INSTALL, Linux 6.13): to touch one is SIGSEGV wherever the program is, its neighbours keep
// their content, and guards come and go all the time. In ordinary and in locked memory, in memory shared with a child
// and in a private mapping of a file. On older kernels: none of it.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "check.h"

enum { PAGE = 4096, PAGES = 512, GUARD_INSTALL = 102, GUARD_REMOVE = 103 };
static const size_t area_bytes = (size_t)PAGES * PAGE;
struct area {
  unsigned long* words;
  unsigned long versions[PAGES];  // 0: zeros
  char guarded[PAGES];
};
static unsigned long next_version = 1;
static sigjmp_buf touched;
static unsigned long seed = 362436069;

static unsigned pick(unsigned below) {
  seed = seed * 6364136223846793005ul + 1442695040888963407ul;
  return (unsigned)(seed >> 33) % below;
}
static void on_fault(int signal) {
  (void)signal;
  siglongjmp(touched, 1);
}
static unsigned long* page_of(struct area* area, unsigned page) { return area->words + (size_t)page * PAGE / 8; }
static int is_guard(struct area* area, unsigned page) {
  if (sigsetjmp(touched, 1) != 0) return 1;
  (void)*(volatile unsigned long*)page_of(area, page);
  return 0;
}
static void verify(struct area* area) {
  for (unsigned page = 0; page < PAGES; page++) {
    CHECK(is_guard(area, page) == area->guarded[page]);
    if (area->guarded[page]) continue;
    CHECK(page_of(area, page)[0] == area->versions[page] && page_of(area, page)[511] == area->versions[page]);
  }
}
static void fill(struct area* area, unsigned page) {
  if (area->guarded[page]) return;
  page_of(area, page)[0] = page_of(area, page)[511] = area->versions[page] = next_version++;
}
static void guard(struct area* area, unsigned from, unsigned count, int install) {
  if (from + count > PAGES) count = PAGES - from;
  CHECK(madvise(page_of(area, from), (size_t)count * PAGE, install ? GUARD_INSTALL : GUARD_REMOVE) == 0);
  for (unsigned page = from; page < from + count; page++) {
    if (install) area->versions[page] = 0;
    area->guarded[page] = (char)install;
  }
}
static void change(struct area* area) {
  for (int times = 0; times < 20; times++) fill(area, pick(PAGES));
  if (pick(4) == 0) guard(area, pick(PAGES), 1 + pick(8), 1);
  if (pick(4) == 0) guard(area, pick(PAGES), 1 + pick(32), 0);
}
static void map(struct area* area, int flags, int fd) {
  area->words = mmap(NULL, area_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  CHECK(area->words != MAP_FAILED);
  for (unsigned page = 0; page < PAGES; page++) fill(area, page);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  signal(SIGSEGV, on_fault);
  static struct area ordinary, locked, of_file, shared;
  map(&ordinary, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (madvise(ordinary.words, PAGE, GUARD_INSTALL) != 0) {
    CHECK(errno == EINVAL);
    dprintf(1, "this kernel has no guard pages\n");
    ready();
    while (!told_to_stop()) pause_ms(10);
    return pass();
  }
  guard(&ordinary, 0, 1, 0);
  ordinary.versions[0] = 0;
  int file = open("guards.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(file >= 0 && ftruncate(file, (off_t)area_bytes) == 0 && unlink("guards.data") == 0);
  map(&of_file, MAP_PRIVATE, file);
  map(&shared, MAP_SHARED | MAP_ANONYMOUS, -1);
  map(&locked, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  for (unsigned page = 3; page < PAGES; page += 50) guard(&locked, page, 2, 1);
  (void)mlock2(locked.words, area_bytes, MLOCK_ONFAULT);  // beyond the limit of an ordinary user perhaps
  for (unsigned page = 7; page < PAGES; page += 100) guard(&of_file, page, 3, 1);
  guard(&shared, 100, 5, 1);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    while (!told_to_stop()) {
      verify(&shared);
      pause_ms(5);
    }
    _exit(0);
  }
  ready();
  while (!told_to_stop()) {
    verify(&ordinary);
    verify(&locked);
    verify(&of_file);
    verify(&shared);
    change(&ordinary);
    change(&of_file);
    for (int times = 0; times < 5; times++) fill(&locked, pick(PAGES));
    if (pick(8) == 0) guard(&locked, pick(PAGES), 4, 0);
    pause_ms(1);
  }
  verify(&ordinary);
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  guard(&shared, 0, 1, 1);
  verify(&shared);
  return pass();
}
