// A few bytes of many pages are written again and again: now one page, now all of them, and now and then whole pages.
// Second argument: the kind of memory (kinds.h).
#include "kinds.h"

enum { PAGE = 4096, WORDS = PAGE / 8, PAGES = 4000 };

static unsigned long filling(unsigned long page, unsigned long i) {
  unsigned long x = (page * WORDS + i + 1) * 0x9e3779b97f4a7c15ul;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
  return x ^ (x >> 27);
}

static unsigned long base[PAGES], counter[PAGES], place[PAGES];

static void fill(unsigned long* area, unsigned long page, unsigned long with) {
  base[page] = with;
  for (unsigned long i = 0; i < WORDS; i++) area[page * WORDS + i] = filling(with, i);
  counter[page] = area[page * WORDS + place[page]];
}

static void verify(const unsigned long* area) {
  for (unsigned long page = 0; page < PAGES; page++) {
    for (unsigned long i = 0; i < WORDS; i++) {
      unsigned long wanted = i == place[page] ? counter[page] : filling(base[page], i);
      CHECK(area[page * WORDS + i] == wanted);
    }
  }
}

int main(int count, char** arguments) {
  begin(count, arguments);
  unsigned long* area = memory_of(count > 2 ? arguments[2] : NULL, PAGES * PAGE);
  int give_up = count > 2 && strcmp(arguments[2], "private") != 0 ? MADV_REMOVE : MADV_DONTNEED;
  for (unsigned long page = 0; page < PAGES; page++) {
    place[page] = page * 7 % WORDS;
    fill(area, page, page);
  }
  ready();
  unsigned long turn = 0;
  do {
    for (unsigned long page = 0; page < PAGES; page++) area[page * WORDS + place[page]] = ++counter[page];
    if (turn % 8 == 0) fill(area, turn / 8 % PAGES, PAGES + turn);
    if (++turn % 16 == 0) verify(area);
    if (turn % 100 == 0) CHECK(madvise(area + (PAGES - 8) * WORDS, 8 * PAGE, give_up) == 0);
    for (unsigned long page = PAGES - 8; turn % 100 == 0 && page < PAGES; page++) fill(area, page, turn + page);
    pause_ms(2);
  } while (!told_to_stop());
  verify(area);
  return pass();
}
