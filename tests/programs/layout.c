// A large area whose layout never rests: parts are moved by mremap, given up by madvise, unmapped and mapped anew at
// the same place, and read by forked children; every page must hold what was written to it last, or zeros.
#include <sys/mman.h>
#include <sys/wait.h>

#include "check.h"

enum { PAGE = 4096, PARTS = 64, PART_PAGES = 256 };
static const size_t part_bytes = (size_t)PART_PAGES * PAGE;
static unsigned long* parts[PARTS];
static unsigned long versions[PARTS][PART_PAGES];  // 0: zeros
static unsigned long next_version = 1;
static unsigned long seed = 88172645463325252ul;

static unsigned long pick(unsigned long below) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return seed % below;
}
static void fill(int part, int from, int to) {
  for (int i = from; i < to; i++) {
    versions[part][i] = next_version++;
    parts[part][i * PAGE / 8] = versions[part][i];
    parts[part][i * PAGE / 8 + PAGE / 8 - 1] = ~versions[part][i];
  }
}
static void verify(int part) {
  for (int i = 0; i < PART_PAGES; i++) {
    unsigned long version = versions[part][i], last = version == 0 ? 0 : ~version;
    unsigned long first_there = parts[part][i * PAGE / 8], last_there = parts[part][i * PAGE / 8 + PAGE / 8 - 1];
    if (first_there != version || last_there != last) {
      dprintf(1, "part %d page %d at %p: version %lu of %lu, there are %lu and %lu\n", part, i,
              (void*)&parts[part][i * PAGE / 8], version, next_version, first_there, ~last_there);
      CHECK(!"every page holds what was written to it last");
    }
  }
}
static void move_part(int part) {
  void* place = mmap(NULL, part_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(place != MAP_FAILED);
  void* moved = mremap(parts[part], part_bytes, part_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
  CHECK(moved == place);
  parts[part] = moved;
}
static void give_up(int part) {
  int from = (int)pick(PART_PAGES), count = (int)pick((unsigned long)(PART_PAGES - from)) + 1;
  if (pick(4) == 0) from = 0, count = PART_PAGES;
  CHECK(madvise((char*)parts[part] + (size_t)from * PAGE, (size_t)count * PAGE, MADV_DONTNEED) == 0);
  memset(&versions[part][from], 0, (size_t)count * sizeof versions[part][0]);
}
static void map_anew(int part) {
  CHECK(munmap(parts[part], part_bytes) == 0);
  if (pick(2) == 0) pause_ms(1);  // long enough for neighbours to be looked at while it is not there
  void* anew = mmap(parts[part], part_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  CHECK(anew == parts[part]);
  memset(versions[part], 0, sizeof versions[part]);
}
static void read_in_child(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    for (int k = 0; k < 4; k++) verify((int)pick(PARTS));
    _exit(0);
  }
  int status;
  pid_t ended;
  do {
    ended = waitpid(child, &status, 0);
  } while (ended < 0 && errno == EINTR);
  CHECK(ended == child && status == 0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  for (int part = 0; part < PARTS; part++) {
    parts[part] = mmap(NULL, part_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(parts[part] != MAP_FAILED);
    fill(part, 0, PART_PAGES);
  }
  ready();
  while (!told_to_stop()) {
    int part = (int)pick(PARTS);
    switch (pick(8)) {
      case 0: move_part(part); break;
      case 1: give_up(part); break;
      case 2: map_anew(part); break;
      case 3:
        if (pick(4) == 0) read_in_child();
        break;
      case 4: verify(part); break;
      default: fill(part, (int)pick(PART_PAGES / 2), PART_PAGES / 2 + (int)pick(PART_PAGES / 2)); break;
    }
    pause_ms(1);
  }
  for (int part = 0; part < PARTS; part++) verify(part);
  return pass();
}
