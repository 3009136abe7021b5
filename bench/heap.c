// A program with a heap of MIB MiB that writes MB_PER_S megabytes a second to random pages of its first HOT_MIB (as
// fast as it can: -1), in THREADS threads, and checks what it reads. Before each write it computes for STEPS steps. It
// has DESCRIPTORS more descriptors than it needs: pipes, event counters, and its own file again and again; and
// SHARED_MIB of shared memory, to which it writes once. On SIGUSR1 it prints the longest time that its first thread
// stood still, in ms by CLOCK_REALTIME (a time namespace can hide a freeze from CLOCK_MONOTONIC), with the writes made
// per second since the last time, and the longest time after which it found itself elsewhere: the other times it only
// had no processor.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / 8 };
static uint64_t* heap;
static size_t pages, hot_pages, threads, steps;
static double rate;  // pages a second and thread
static volatile sig_atomic_t asked;

static void ask(int number) { asked = number; }
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
// Whether it has been moved since it was last asked: the pid namespace is another.
static int is_elsewhere(void) {
  static char before[64];
  char name[64] = "";
  if (readlink("/proc/self/ns/pid", name, sizeof name - 1) < 0 || strcmp(before, name) == 0) return 0;
  int first = before[0] == 0;
  strcpy(before, name);
  return !first;
}
static uint64_t expected(size_t page, uint64_t version) { return page * 2654435761u + version; }

// Each page holds its version and what follows from it: a page that is lost or stale does not fit.
static void write_page(size_t page) {
  uint64_t* at = heap + page * WORDS;
  uint64_t version = at[0];
  if (at[WORDS - 1] != expected(page, version)) {
    dprintf(1, "FAIL page %zu: version %lu does not fit %lx\n", page, (unsigned long)version,
            (unsigned long)at[WORDS - 1]);
    _exit(1);
  }
  at[0] = version + 1;
  at[WORDS - 1] = expected(page, version + 1);
}

struct gaps {
  double last, longest, moved;
};
// Looks at the clock, before and after each write.
static double look(struct gaps* gaps, int is_first) {
  double t = now(), gap = t - gaps->last;
  if (gap > gaps->longest) gaps->longest = gap;
  if (is_first && gap > 5e-4 && is_elsewhere() && gap > gaps->moved) gaps->moved = gap;
  gaps->last = t;
  return t;
}

// Thread `argument` has every threads-th page to itself.
static void* work(void* argument) {
  size_t index = (uintptr_t)argument;
  uint64_t random = index * 7919 + 88172645463325252u;
  double begun = now(), due = begun;
  struct gaps gaps = {.last = begun};
  if (index == 0) is_elsewhere();
  uint64_t done = 0;
  for (;;) {
    double t = look(&gaps, index == 0);
    if (index == 0 && asked) {
      asked = 0;
      printf("gap %.3f writes %.0f moved %.3f\n", gaps.longest * 1e3, (double)done / (t - begun), gaps.moved * 1e3);
      fflush(stdout);
      gaps.longest = 0, gaps.moved = 0, done = 0, begun = t;
    }
    int burst = rate < 0 ? 64 : 0;
    while (rate > 0 && due < t && burst < 256) due += 1 / rate, burst++;
    if (rate > 0 && due < t - 0.05) due = t;  // what a freeze took is not caught up with
    for (int i = 0; i < burst; i++) {
      for (size_t step = 0; step < steps; step++) random = random * 6364136223846793005u + 1442695040888963407u;
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      write_page(random % (hot_pages / threads) * threads + index);
      look(&gaps, index == 0);
      done++;
    }
    if (rate >= 0) usleep(rate == 0 ? 200 : index == 0 || due < t + 50e-6 ? 50 : due < t + 1e-3 ? 100 : 1000);
  }
  return NULL;
}

static int open_descriptors(size_t wanted) {
  for (size_t opened = 0; opened < wanted; opened += 4) {
    int ends[2];
    if (pipe(ends) != 0 || eventfd(0, 0) < 0 || open("/proc/self/exe", O_RDONLY) < 0) return -1;
  }
  return 0;
}

int main(int count, char** arguments) {
  size_t mib = count > 1 ? strtoul(arguments[1], NULL, 10) : 10;
  double megabytes = count > 2 ? atof(arguments[2]) : 0;
  size_t hot = count > 3 ? strtoul(arguments[3], NULL, 10) : mib;
  threads = count > 4 ? strtoul(arguments[4], NULL, 10) : 1;
  steps = count > 5 ? strtoul(arguments[5], NULL, 10) : 0;
  if (open_descriptors(count > 6 ? strtoul(arguments[6], NULL, 10) : 0) != 0) return 1;
  size_t shared = (count > 7 ? strtoul(arguments[7], NULL, 10) : 0) << 20;
  if (shared > 0) {
    uint64_t* words = mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED) return 1;
    for (size_t word = 0; word < shared / 8; word++) words[word] = (word + 1) * 0x9e3779b97f4a7c15u;
  }
  pages = mib << 8;
  hot_pages = hot << 8;
  rate = megabytes < 0 ? -1 : megabytes * 1e6 / PAGE / (double)threads;
  heap = malloc(mib << 20);
  for (size_t page = 0; page < pages; page++) {
    for (size_t word = 0; word < WORDS; word++) heap[page * WORDS + word] = (page * WORDS + word) * 0x9e3779b97f4a7c15u;
    heap[page * WORDS] = 0;
    heap[page * WORDS + WORDS - 1] = expected(page, 0);
  }
  signal(SIGUSR1, ask);
  printf("ready\n");
  fflush(stdout);
  for (uintptr_t i = 1; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, (void*)i) != 0) return 1;
  }
  work(NULL);
}
