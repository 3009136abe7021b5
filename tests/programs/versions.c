// Pages that are written, given up and written again all the time: each holds the last version it was given, which is
// also written down elsewhere. A page that is stale, lost or torn does not fit.
#include <sys/mman.h>

#include "check.h"

enum { PAGE = 4096, WORDS = PAGE / 8, PAGES = 8192, WRITES = 400 };

static unsigned long* area;
static unsigned version[PAGES];  // 0: given up
static unsigned long state = 88172645463325252u;

static unsigned long random_number(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static unsigned long expected(unsigned long page, unsigned long word) {
  return version[page] == 0 ? 0 : version[page] * 2654435761u + page * WORDS + word;
}

static void check_page(unsigned long page) {
  static const int words[] = {0, 1, WORDS / 2, WORDS - 1};
  for (int i = 0; i < 4; i++) {
    unsigned long found = area[page * WORDS + words[i]];
    if (found == expected(page, words[i])) continue;
    unsigned long of = 0;
    for (unsigned long v = 1; v < 100000 && of == 0; v++) {
      if (found == v * 2654435761u + page * WORDS + words[i]) of = v;
    }
    dprintf(1, "FAIL page %lu word %d holds %lx, version %lu, instead of version %u\n", page, words[i], found, of,
            version[page]);
    _exit(1);
  }
}

static void write_page(unsigned long page) {
  for (unsigned long word = 0; word < WORDS; word++) area[page * WORDS + word] = expected(page, word);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  area = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  for (unsigned long page = 0; page < PAGES; page++) {
    version[page] = 1;
    write_page(page);
  }
  ready();
  do {
    for (int i = 0; i < WRITES; i++) {
      unsigned long page = random_number() % PAGES;
      check_page(page);
      if (random_number() % 8 == 0) {
        CHECK(madvise(area + page * WORDS, PAGE, MADV_DONTNEED) == 0);
        version[page] = 0;
        continue;
      }
      version[page]++;
      write_page(page);
    }
    pause_ms(2);
  } while (!told_to_stop());
  for (unsigned long page = 0; page < PAGES; page++) check_page(page);
  return pass();
}
