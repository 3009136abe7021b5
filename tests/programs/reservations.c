// Memory as runtimes hold it: terabytes reserved without access and opened piece by piece (Go, Java, ASan), single
// pages scattered over them, locked memory, memory that may be merged with equal pages, and, where the processor has
// them, protection keys.
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "check.h"

enum { PAGE = 4096, SCATTERED = 3000, OPENED = 64, ALIKE = 512 };
static const size_t tib = (size_t)1 << 40, opened_bytes = 1 << 20;
static unsigned long seed = 2463534242;

static unsigned long pick(unsigned long below) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return seed % below;
}
static void* reserve(size_t bytes, int protection) {
  void* place = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(place != MAP_FAILED && madvise(place, bytes, MADV_NOHUGEPAGE) == 0);  // a page is 4 KiB, and stays alone
  return place;
}
// In a page that holds nothing yet. Returns the word.
static size_t write_somewhere(unsigned long* words) {
  size_t word;
  do word = pick(8 * tib / PAGE) * (PAGE / 8);
  while (words[word] != 0);
  words[word] = word | 1;
  return word;
}
// The VmFlags line of the mapping at `address` has this mnemonic.
static int has_flag(const void* address, const char* flag) {
  FILE* maps = fopen("/proc/self/smaps", "r");
  CHECK(maps != NULL);
  char line[1024];
  unsigned long start, end, inside = 0;
  int found = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
      inside = start <= (unsigned long)address && (unsigned long)address < end;
    if (inside && strncmp(line, "VmFlags:", 8) == 0) found = strstr(line, flag) != NULL;
  }
  fclose(maps);
  return found;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  char* heap = reserve(4 * tib, PROT_NONE);
  for (size_t i = 0; i < OPENED; i++) {  // as an arena grows: here and there
    char* piece = heap + i * (tib / 16);
    CHECK(mprotect(piece, opened_bytes, PROT_READ | PROT_WRITE) == 0);
    memset(piece, (int)i + 1, opened_bytes / 4);
  }
  unsigned long* scattered = reserve(8 * tib, PROT_READ | PROT_WRITE);
  static size_t places[SCATTERED];  // words
  for (size_t i = 0; i < SCATTERED; i++) places[i] = write_somewhere(scattered);
  char* locked = reserve(64 << 10, PROT_READ | PROT_WRITE);
  struct rlimit limit;
  int may_lock = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= 64 << 10 && mlock(locked, 64 << 10) == 0;
  memset(locked, 9, 64 << 10);
  char* alike = reserve(ALIKE * PAGE, PROT_READ | PROT_WRITE);
  int may_merge = madvise(alike, ALIKE * PAGE, MADV_MERGEABLE) == 0;
  memset(alike, 5, ALIKE * PAGE);
  int key = pkey_alloc(0, 0);
  char* keyed = reserve(PAGE, PROT_READ | PROT_WRITE);
  keyed[0] = 42;
  if (key >= 0) CHECK(pkey_mprotect(keyed, PAGE, PROT_READ | PROT_WRITE, key) == 0);
  dprintf(1, "locked %d, mergeable %d, protection keys %s\n", may_lock, may_merge,
          key >= 0 ? "yes" : "none in this processor");
  ready();
  size_t next = 0, rounds = 0;
  while (!told_to_stop()) {
    for (size_t i = 0; i < OPENED; i++) CHECK(heap[i * (tib / 16) + pick(opened_bytes / 4)] == (char)(i + 1));
    for (size_t i = 0; i < SCATTERED; i++) CHECK(scattered[places[i]] == (places[i] | 1));
    for (size_t i = 0; i < 64 << 10; i += PAGE) CHECK(locked[i] == 9);
    for (size_t i = 0; i < ALIKE * PAGE; i += PAGE) CHECK(alike[i] == 5 && alike[i + PAGE - 1] == 5);
    CHECK(keyed[0] == 42);
    CHECK(madvise(&scattered[places[next]], PAGE, MADV_DONTNEED) == 0);
    places[next] = write_somewhere(scattered);
    next = (next + 1) % SCATTERED;
    rounds++;
    pause_ms(2);
  }
  CHECK(rounds > 0 && (!may_lock || has_flag(locked, " lo")) && (!may_merge || has_flag(alike, " mg")));
  return pass();
}
