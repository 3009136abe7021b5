// Many pages with the same content, in one process and in a child of it: among them pages that are written meanwhile.
// Second argument: the kind of memory (kinds.h), of which the child has some of its own, with the same content.
#include <sys/wait.h>

#include "kinds.h"

enum { PAGE = 4096, WORDS = PAGE / 8, PAGES = 12000, KINDS = 200, CHANGING = 64 };

// Word i of content `kind`: nothing that would compress.
static unsigned long word_of(unsigned long kind, unsigned long i) {
  unsigned long x = (kind * WORDS + i + 1) * 0x9e3779b97f4a7c15ul;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
  return x ^ (x >> 27);
}

static void verify(const unsigned long* area, unsigned long turn) {
  for (unsigned long page = 0; page < PAGES; page++) {
    unsigned long kind = page < CHANGING ? KINDS + page * 1000 + turn : page % KINDS;
    for (unsigned long i = 0; i < WORDS; i++) CHECK(area[page * WORDS + i] == word_of(kind, i));
  }
}

static void change(unsigned long* area, unsigned long turn) {
  for (unsigned long page = 0; page < CHANGING; page++) {
    for (unsigned long i = 0; i < WORDS; i++) area[page * WORDS + i] = word_of(KINDS + page * 1000 + turn, i);
  }
}

int main(int count, char** arguments) {
  begin(count, arguments);
  const char* kind = count > 2 ? arguments[2] : "private";
  unsigned long* area = memory_of(kind, PAGES * PAGE);
  unsigned long* childs = area;
  if (strcmp(kind, "private") != 0) childs = memory_of(kind, PAGES * PAGE);
  for (unsigned long page = 0; page < PAGES; page++) {
    for (unsigned long i = 0; i < WORDS; i++) area[page * WORDS + i] = word_of(page % KINDS, i);
  }
  change(area, 0);
  if (childs != area) memcpy(childs, area, PAGES * PAGE);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) area = childs;
  if (child != 0) ready();
  unsigned long turn = 0;
  do {
    verify(area, turn);
    change(area, ++turn);
    pause_ms(5);
  } while (!told_to_stop());
  verify(area, turn);
  if (child == 0) return 0;
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return pass();
}
