// A process that becomes another program (itself, anew) every few milliseconds: nothing of the address space before may
// be found in the one after it, and nothing of that may be missing.
#include <sys/mman.h>

#include "check.h"

enum { PAGE = 4096, PAGES = 1024, WORDS = PAGE / 8 };
static unsigned long globals[8 * WORDS];

int main(int count, char** arguments) {
  begin(count, arguments);
  unsigned long life = count > 2 ? strtoul(arguments[2], NULL, 10) : 0;
  if (life == 0) ready();
  unsigned long* area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  unsigned long written = 100 + life % 900;  // the others must be zeros
  for (unsigned long page = 0; page < written; page++) area[page * WORDS] = life * PAGES + page + 1;
  for (unsigned long page = 0; page < 8; page += 1 + life % 2) globals[page * WORDS] = life + page + 1;
  for (unsigned long turn = 0; turn < 1 + life % 5; turn++) {
    pause_ms(2);
    for (unsigned long page = 0; page < PAGES; page++) {
      CHECK(area[page * WORDS] == (page < written ? life * PAGES + page + 1 : 0));
    }
    for (unsigned long page = 0; page < 8; page++) {
      CHECK(globals[page * WORDS] == (page % (1 + life % 2) == 0 ? life + page + 1 : 0));
    }
  }
  if (told_to_stop()) return pass();
  char next[32];
  snprintf(next, sizeof next, "%lu", life + 1);
  execl("/proc/self/exe", arguments[0], arguments[1], next, (char*)NULL);
  CHECK(!"it becomes itself anew");
}
