// Many mappings, every other one read-only so that none are merged; the second argument says how many (default 1000).
// Each page holds its number and keeps it; some come and go.
#include <sys/mman.h>

#include "check.h"

enum { PAGE = 4096 };
static unsigned long* pages;
static unsigned long many = 1000;

static unsigned long* page_of(unsigned long number) { return pages + number * (PAGE / 8); }
static void close_page(unsigned long number) { CHECK(mprotect(page_of(number), PAGE, PROT_READ) == 0); }

int main(int count, char** arguments) {
  begin(count, arguments);
  if (count > 2) many = strtoul(arguments[2], NULL, 10);
  pages = mmap(NULL, many * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  for (unsigned long i = 0; i < many; i++) *page_of(i) = i + 1;
  for (unsigned long i = 0; i < many; i += 2) close_page(i);
  ready();
  for (unsigned long next = 0; !told_to_stop(); next = (next + 2) % many) {
    CHECK(mprotect(page_of(next), PAGE, PROT_READ | PROT_WRITE) == 0);
    *page_of(next) = next + 1;
    close_page(next);
    for (unsigned long i = next % 97; i < many; i += 97) CHECK(*page_of(i) == i + 1);
    pause_ms(10);
  }
  for (unsigned long i = 0; i < many; i++) CHECK(*page_of(i) == i + 1);
  return pass();
}
