// Memory in transparent huge pages: wherever it is moved it is in huge pages again soon, with its content.
#include <sys/mman.h>

#include "check.h"

enum { WORDS_APART = 512 };
static const size_t huge = 2 << 20, area_bytes = 16 << 21;
static unsigned long* area;

// KiB of the area that are in huge pages, of /proc/self/smaps.
static unsigned long in_huge_pages(void) {
  FILE* maps = fopen("/proc/self/smaps", "r");
  CHECK(maps != NULL);
  char line[512];
  unsigned long start = 0, end = 0, kib = 0, sum = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2) start = from, end = to;
    int inside = start >= (unsigned long)area && end <= (unsigned long)area + area_bytes;
    if (inside && sscanf(line, "AnonHugePages: %lu", &kib) == 1) sum += kib;
  }
  fclose(maps);
  return sum;
}
static void verify(unsigned long version) {
  for (size_t i = 0; i < area_bytes / 8; i += WORDS_APART) CHECK(area[i] == (i % 4096 == 0 ? version : i));
}

int main(int count, char** arguments) {
  begin(count, arguments);
  char* place = mmap(NULL, area_bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(place != MAP_FAILED);
  area = (unsigned long*)(((unsigned long)place + huge - 1) & ~(huge - 1));
  CHECK(madvise(area, area_bytes, MADV_HUGEPAGE) == 0);
  for (size_t i = 0; i < area_bytes / 8; i += WORDS_APART) area[i] = i % 4096 == 0 ? 0 : i;
  unsigned long at_first = in_huge_pages();
  ready();
  unsigned long version = 0;
  while (!told_to_stop()) {
    verify(version++);
    for (size_t i = 0; i < area_bytes / 8; i += 4096) area[i] = version;
    pause_ms(2);
  }
  verify(version);
  unsigned long now = in_huge_pages();
  for (int wait = 0; wait < 100 && now < at_first; wait++) pause_ms(50), now = in_huge_pages();
  dprintf(1, "%lu KiB in huge pages at first, %lu now\n", at_first, now);
  CHECK(now >= at_first / 16 * 15);
  return pass();
}
