// A private mapping that reaches beyond the end of a file which grows: each new page is written to in the mapping,
// which makes it the program's own, whatever becomes of the file; then the file is cut off and begins anew.
#include <fcntl.h>
#include <sys/mman.h>

#include "check.h"

enum { PAGE = 4096, PAGES = 400 };

int main(int count, char** arguments) {
  begin(count, arguments);
  char name[300];
  snprintf(name, sizeof name, "%s/growing", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
  int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(file >= 0);
  unsigned long* area = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  CHECK(area != MAP_FAILED);
  ready();
  unsigned long round = 0;
  while (!told_to_stop()) {
    round++;
    CHECK(ftruncate(file, 0) == 0);
    for (unsigned long page = 0; page < PAGES && !told_to_stop(); page++) {
      unsigned long line[2] = {round, page};
      CHECK(pwrite(file, line, sizeof line, (off_t)page * PAGE) == sizeof line);
      CHECK(ftruncate(file, (off_t)(page + 1) * PAGE) == 0);
      unsigned long* at = area + page * (PAGE / sizeof *area);
      if (page % 3 != 0) at[5] = round + page;  // every third stays the file's
      for (unsigned long known = 0; known <= page; known++) {
        unsigned long* look = area + known * (PAGE / sizeof *area);
        CHECK(look[0] == round && look[1] == known && look[5] == (known % 3 != 0 ? round + known : 0));
      }
      if (page % 4 == 0) pause_ms(1);
    }
  }
  return pass();
}
