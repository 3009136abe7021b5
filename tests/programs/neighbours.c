// Neighbours in one mapping: a part of it is moved away and back, so that the kernel makes them one mapping again, or
// is unmapped for a while; what was written to the others at any time must be there.
#include <sys/mman.h>

#include "check.h"

enum { PAGE = 4096, PARTS = 32, PART_PAGES = 64, PAGES = PARTS * PART_PAGES, WORDS = PAGE / 8 };
static const size_t part_bytes = (size_t)PART_PAGES * PAGE;
static unsigned long* area;
static unsigned long versions[PAGES];  // 0: zeros
static unsigned long next_version = 1;
static unsigned long seed = 88172645463325252ul;

static unsigned long pick(unsigned long below) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return seed % below;
}
static unsigned long* start_of(unsigned long part) { return area + part * PART_PAGES * WORDS; }
static void write_pages(unsigned long count, unsigned long absent_part) {
  while (count-- > 0) {
    unsigned long page = pick(PAGES);
    if (page / PART_PAGES == absent_part) continue;
    area[page * WORDS] = versions[page] = next_version++;
  }
}
static void verify(unsigned long part) {
  for (unsigned long page = part * PART_PAGES; page < (part + 1) * PART_PAGES; page++) {
    if (area[page * WORDS] == versions[page]) continue;
    dprintf(1, "page %lu at %p: version %lu of %lu, there is %lu\n", page, (void*)&area[page * WORDS], versions[page],
            next_version, area[page * WORDS]);
    CHECK(!"every page holds what was written to it last");
  }
}
static void move_there_and_back(unsigned long part) {
  void* place = mmap(NULL, part_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(place != MAP_FAILED);
  CHECK(mremap(start_of(part), part_bytes, part_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
  write_pages(20, part);
  pause_ms((long)pick(3));
  void* home = start_of(part);
  CHECK(mremap(place, part_bytes, part_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, home) == home);
}
static void map_anew(unsigned long part) {
  CHECK(munmap(start_of(part), part_bytes) == 0);
  write_pages(20, part);
  pause_ms((long)pick(3));
  void* anew = mmap(start_of(part), part_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  CHECK(anew == start_of(part));
  memset(&versions[part * PART_PAGES], 0, PART_PAGES * sizeof versions[0]);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  area = mmap(NULL, PARTS * part_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  write_pages(2 * PAGES, PARTS);
  ready();
  while (!told_to_stop()) {
    if (pick(4) == 0) {
      map_anew(pick(PARTS));
    } else {
      move_there_and_back(pick(PARTS));
    }
    write_pages(50, PARTS);
    verify(pick(PARTS));
    pause_ms(1);
  }
  for (unsigned long part = 0; part < PARTS; part++) verify(part);
  return pass();
}
