// Memory from the kernel's pool of huge pages (hugetlb): private, with a read-only part and pages that are given up and
// written again; shared with a child; behind a memfd with a seal; a System V segment. It stays in huge pages. Where the
// pool has too few of them: none of it. Usage: hugetlb FLAG_FILE [log2 of the page's size]
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define PAGES_OF_AREA 4
#include "huge_area.h"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

enum { PRIVATE = PAGES_OF_AREA, SHARED = 2 };  // huge pages
static int size_flag;

static void give_up(struct area* area, size_t page) {
  CHECK(madvise((void*)word_of(area, page, 0), page_bytes, MADV_DONTNEED) == 0);
  memset(area->expected[page], 0, sizeof area->expected[page]);
}
static int map(struct area* area, size_t pages, int flags, int fd) {
  void* place = mmap(NULL, pages * page_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (place == MAP_FAILED) return 0;
  area->words = place;
  area->pages = pages;
  return 1;
}
static void check_page_size(struct area* area) {
  FILE* maps = fopen("/proc/self/smaps", "r");
  CHECK(maps != NULL);
  char line[1024];
  unsigned long start, end, inside = 0, kib = 0;
  while (kib == 0 && fgets(line, sizeof line, maps) != NULL) {
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
      inside = start <= (unsigned long)area->words && (unsigned long)area->words < end;
    if (inside) (void)sscanf(line, "KernelPageSize: %lu", &kib);
  }
  fclose(maps);
  CHECK(kib * 1024 == page_bytes);
}
static int open_memfd(struct area* area) {
  int memfd = memfd_create("hugetlb", MFD_HUGETLB | MFD_ALLOW_SEALING | (unsigned)size_flag);
  if (memfd < 0) return -1;
  CHECK(ftruncate(memfd, (off_t)(SHARED * page_bytes)) == 0);
  return map(area, SHARED, MAP_SHARED, memfd) ? memfd : -1;
}
static int attach_segment(struct area* area) {
  int segment = shmget(IPC_PRIVATE, SHARED * page_bytes, IPC_CREAT | SHM_HUGETLB | size_flag | 0600);
  if (segment < 0 && errno == EPERM) dprintf(1, "no segment: see vm.hugetlb_shm_group\n");
  if (segment < 0) return errno == EPERM;
  void* place = shmat(segment, NULL, 0);
  CHECK(shmctl(segment, IPC_RMID, NULL) == 0);
  if (place == (void*)-1) return 0;
  area->words = place;
  area->pages = SHARED;
  return 1;
}
// Counts in a word of the shared memory that nobody else writes to.
static void child_counts(struct area* shared) {
  volatile unsigned long* counter = shared->words + 1;
  for (unsigned long counted = 0; !told_to_stop(); pause_ms(1)) {
    CHECK(*counter == counted);
    *counter = ++counted;
  }
  _exit(0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int shift = count > 2 ? atoi(arguments[2]) : 21;
  page_bytes = (size_t)1 << shift;
  size_flag = shift << MAP_HUGE_SHIFT;
  static struct area own, fixed, shared, object, segment;
  int huge = MAP_ANONYMOUS | MAP_HUGETLB | size_flag, memfd = -1;
  int enough = map(&own, PRIVATE, MAP_PRIVATE | huge, -1) && map(&fixed, 1, MAP_PRIVATE | huge, -1) &&
               map(&shared, SHARED, MAP_SHARED | huge, -1) && (memfd = open_memfd(&object)) >= 0 &&
               attach_segment(&segment);
  if (!enough) {
    dprintf(1, "too few huge pages here\n");
    ready();
    while (!told_to_stop()) pause_ms(10);
    return pass();
  }
  write_some(&own, 100), write_some(&fixed, 20), write_some(&shared, 20), write_some(&object, 20);
  CHECK(mprotect((void*)fixed.words, page_bytes, PROT_READ) == 0);
  CHECK(fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) child_counts(&shared);
  ready();
  while (!told_to_stop()) {
    struct area* all[] = {&own, &fixed, &shared, &object, &segment};
    for (size_t i = 0; i < 5; i++) verify(all[i]);
    write_some(&own, 20), write_some(&shared, 3), write_some(&object, 3);
    if (segment.pages > 0) write_some(&segment, 3);
    if (pick(8) == 0) give_up(&own, pick(PRIVATE));
    pause_ms(1);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  check_page_size(&own), check_page_size(&shared), check_page_size(&object);
  CHECK(ftruncate(memfd, (off_t)(3 * page_bytes)) != 0 && errno == EPERM);  // sealed
  CHECK(mprotect((void*)fixed.words, page_bytes, PROT_READ | PROT_WRITE) == 0);
  write_some(&fixed, 10), write_some(&object, 10);
  verify(&fixed), verify(&object), verify(&own);
  return pass();
}
