// Files on a hugetlbfs mount: open and mapped by several processes; closed again, and opened by name once in a while;
// without a name, open or only mapped; below a private mapping; open and not mapped; mapped for reading only; made
// shorter than its mapping; replaced once in a while by another one.
// Usage: hugetlb_files FLAG_FILE [DIRECTORY]; without one none of it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PAGES_OF_AREA 3
#include "huge_area.h"

enum { MOST = PAGES_OF_AREA, AREAS = 8 };
static const char* directory;

static void map(struct area* area, int flags) {
  void* place = mmap(NULL, area->pages * page_bytes, PROT_READ | PROT_WRITE, flags, area->fd, 0);
  CHECK(place != MAP_FAILED);
  area->words = place;
}
static void make(struct area* area, const char* name, size_t pages) {
  snprintf(area->path, sizeof area->path, "%s/%s", directory, name);
  area->fd = open(area->path, O_RDWR | O_CREAT | O_EXCL, 0640);
  CHECK(area->fd >= 0);
  area->pages = pages;
  CHECK(ftruncate(area->fd, (off_t)(pages * page_bytes)) == 0);
  map(area, MAP_SHARED);
  write_some(area, 40);
}
static void close_it(struct area* area) {
  CHECK(close(area->fd) == 0);
  area->fd = -1;
}
static void lose_name(struct area* area) {
  CHECK(unlink(area->path) == 0);
  area->path[0] = 0;
}
// Whether its name and its descriptor are one file. A move to another mount between two questions changes the numbers.
static int is_named(struct area* area) {
  struct stat named, opened, again;
  for (int tries = 0; tries < 3; tries++) {
    CHECK(stat(area->path, &named) == 0 && fstat(area->fd, &opened) == 0 && stat(area->path, &again) == 0);
    if (named.st_dev == again.st_dev && named.st_ino == again.st_ino) {
      return named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
    }
  }
  return 0;
}
static void check_names(struct area* area) {
  struct stat named, opened;
  if (area->path[0]) CHECK(stat(area->path, &named) == 0 && (named.st_mode & 07777) == 0640);
  if (area->fd >= 0) {
    CHECK(fstat(area->fd, &opened) == 0 && opened.st_nlink == (area->path[0] ? 1 : 0));
    CHECK((size_t)opened.st_size == area->pages * page_bytes && (size_t)opened.st_blksize == page_bytes);
  }
  if (area->path[0] && area->fd >= 0) CHECK(is_named(area));
}
static void check_mapping(struct area* area) {
  FILE* maps = fopen("/proc/self/smaps", "r");
  CHECK(maps != NULL);
  char line[1024];
  unsigned long start, end, inside = 0, kib = 0;
  while (kib == 0 && fgets(line, sizeof line, maps) != NULL) {
    int heads = sscanf(line, "%lx-%lx ", &start, &end) == 2;
    if (heads) inside = start <= (unsigned long)area->words && (unsigned long)area->words < end;
    if (heads && inside && area->path[0]) CHECK(strstr(line, area->path) != NULL);
    if (inside) (void)sscanf(line, "KernelPageSize: %lu", &kib);
  }
  fclose(maps);
  CHECK(kib * 1024 == page_bytes);
}
// By way of a descriptor and a mapping that are gone at once.
static void write_by_name(struct area* area) {
  int fd = open(area->path, O_RDWR);
  CHECK(fd >= 0);
  struct area passing = *area;
  passing.fd = fd;
  map(&passing, MAP_SHARED);
  write_some(&passing, 2);
  memcpy(area->expected, passing.expected, sizeof area->expected);
  CHECK(munmap((void*)passing.words, area->pages * page_bytes) == 0 && close(fd) == 0);
}
static void punch(struct area* area, size_t page) {
  CHECK(fallocate(area->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(page * page_bytes),
                  (off_t)page_bytes) == 0);
  memset(area->expected[page], 0, sizeof area->expected[page]);
}
static void check_reading(struct area* area) {
  for (size_t page = 0; page < area->pages; page++) {
    unsigned long value;
    CHECK(pread(area->fd, &value, sizeof value, (off_t)place_of(page, 7)) == sizeof value);
    CHECK(value == area->expected[page][7]);
  }
}
// By another file of that name, as programs do that want it to be whole at any time.
static void replace(struct area* area) {
  struct area fresh = {.fd = -1};
  make(&fresh, "replaced.new", area->pages);
  CHECK(rename(fresh.path, area->path) == 0);
  memcpy(fresh.path, area->path, sizeof fresh.path);
  CHECK(munmap((void*)area->words, area->pages * page_bytes) == 0 && close(area->fd) == 0);
  *area = fresh;
}
// Counts in a word that nobody else writes to; `by_name`: through a mapping of its own.
static pid_t start_counting(struct area* area, size_t word, int by_name) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child != 0) return child;
  struct area own = *area;
  if (by_name) {
    own.fd = open(area->path, O_RDWR);
    CHECK(own.fd >= 0);
    map(&own, MAP_SHARED);
    CHECK(close(own.fd) == 0);
  }
  volatile unsigned long* counter = own.words + word;
  for (unsigned long counted = 0; !told_to_stop(); pause_ms(1)) {
    CHECK(*counter == counted);
    *counter = ++counted;
  }
  CHECK(*counter == area->words[word]);  // both mappings show the same
  _exit(0);
}
static void await_end(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}
static void keep_using(struct area* area) {
  CHECK(ftruncate(area->fd, (off_t)(MOST * page_bytes)) == 0);
  struct area again = *area;
  again.pages = MOST;
  map(&again, MAP_SHARED);
  write_some(&again, 20);
  verify(&again);
  memcpy(area->expected, again.expected, sizeof area->expected);
  verify(area);  // the old mapping shows it too
  punch(&again, 0);
  memset(area->expected[0], 0, sizeof area->expected[0]);
  verify(area), verify(&again), check_reading(&again);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  if (count < 3) {
    ready();
    while (!told_to_stop()) pause_ms(10);
    return pass();
  }
  directory = arguments[2];
  struct stat status;
  CHECK(stat(directory, &status) == 0 && status.st_blksize > 4096);
  page_bytes = (size_t)status.st_blksize;
  static struct area open_one, closed, kept, nameless, base, own, unmapped, shorter, replaced;
  make(&open_one, "open", 2), make(&closed, "closed", 2), make(&kept, "kept", 1), make(&nameless, "nameless", 1);
  make(&base, "base", 2), make(&unmapped, "unmapped", 1);
  own = base;
  map(&own, MAP_PRIVATE);
  write_some(&own, 1);  // of its own: what is written below it from now on shows in other pages only
  for (size_t word = 0; word < WORDS; word++) CHECK(*word_of(&own, 1, word) == own.expected[1][word]);
  own.pages = 1;
  *word_of(&own, 0, 0) = own.expected[0][0] = 1;
  CHECK(munmap((void*)unmapped.words, page_bytes) == 0);
  make(&shorter, "shorter", 2), make(&replaced, "replaced", 1);
  shorter.pages = 1;
  CHECK(ftruncate(shorter.fd, (off_t)page_bytes) == 0);
  close_it(&closed), close_it(&nameless), close_it(&base);
  own.fd = -1;
  lose_name(&kept), lose_name(&nameless);
  int for_reading = open(open_one.path, O_RDONLY);
  volatile unsigned long* read_only = mmap(NULL, page_bytes, PROT_READ, MAP_SHARED, for_reading, 0);
  CHECK(for_reading >= 0 && read_only != MAP_FAILED);
  pid_t children[] = {start_counting(&open_one, 1, 0), start_counting(&closed, 1, 1)};
  ready();
  struct area* all[] = {&open_one, &closed, &kept, &nameless, &base, &own, &shorter, &replaced};
  while (!told_to_stop()) {
    for (size_t i = 0; i < AREAS; i++) verify(all[i]), check_names(all[i]);
    CHECK(read_only[0] == open_one.expected[0][0]);
    check_names(&unmapped), check_reading(&unmapped);
    for (size_t i = 0; i < AREAS; i++) write_some(all[i], 2);
    if (pick(8) == 0) write_by_name(&closed);
    if (pick(8) == 0) punch(&kept, 0);
    if (pick(256) == 0) replace(&replaced);
    pause_ms(1);
  }
  for (size_t i = 0; i < 2; i++) await_end(children[i]);
  for (size_t i = 0; i < AREAS; i++) verify(all[i]), check_mapping(all[i]);
  CHECK(mprotect((void*)read_only, page_bytes, PROT_READ | PROT_WRITE) != 0 && errno == EACCES);
  map(&unmapped, MAP_SHARED);
  verify(&unmapped);
  open_one.words[1] = 0;
  keep_using(&open_one), keep_using(&kept), keep_using(&unmapped);
  write_by_name(&closed), verify(&closed);
  for (size_t i = 0; i < AREAS; i++)
    if (all[i]->path[0] && all[i] != &own) CHECK(unlink(all[i]->path) == 0);
  CHECK(unlink(unmapped.path) == 0);
  return pass();
}
