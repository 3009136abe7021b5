// Memory that hardly changes, beside pages that do. Second argument: MiB, 20 without it; third: pages that
// are looked at every 5 ms, 200 without it; fourth: the kind of memory (kinds.h).
#include "kinds.h"

enum { PAGE = 4096, WORDS = PAGE / 8, CHANGING = 100 };

static unsigned long word_of(unsigned long page, unsigned long i) {
  unsigned long x = (page * WORDS + i + 1) * 0x9e3779b97f4a7c15ul;
  return x ^ (x >> 27);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  unsigned long pages = (count > 2 ? strtoul(arguments[2], NULL, 10) : 20) * 256;
  unsigned long looks = count > 3 ? strtoul(arguments[3], NULL, 10) : 200;
  unsigned long* area = memory_of(count > 4 ? arguments[4] : NULL, pages * PAGE);
  for (unsigned long page = 0; page < pages; page++) {
    for (unsigned long i = 0; i < WORDS; i++) area[page * WORDS + i] = word_of(page, i);
  }
  ready();
  unsigned long turn = 0, at = CHANGING;
  do {
    turn++;
    for (unsigned long page = 0; page < CHANGING; page++) area[page * WORDS] = word_of(page, 0) + turn;
    for (unsigned long k = 0; k < looks; k++, at = at + 1 < pages ? at + 1 : CHANGING) {
      for (unsigned long i = 0; i < WORDS; i++) CHECK(area[at * WORDS + i] == word_of(at, i));
    }
    pause_ms(5);
  } while (!told_to_stop());
  for (unsigned long page = 0; page < pages; page++) {
    for (unsigned long i = 0; i < WORDS; i++) {
      CHECK(area[page * WORDS + i] == word_of(page, i) + (page < CHANGING && i == 0 ? turn : 0));
    }
  }
  return pass();
}
