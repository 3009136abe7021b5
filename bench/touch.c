// A program that reads MIB MiB of its memory without end, page by page: at `random`, or `forward`. From one SIGUSR1 to
// the next it notes every read that took longer than 10 us, which is what a page fault takes at least, and how many
// reads it made in each 20 ms; then it prints how many were slow, their median and 99th percentile in us, and how many
// ms it took, from when it first fell below a fifth of its speed of before, until it was back at nine tenths for 100
// ms. Times are of CLOCK_REALTIME.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 4096, SLOW_US = 10, LONGEST_US = 50000, WINDOWS = 4096, BEFORE = 25, BACK = 5 };
static const uint64_t kWindowNs = 20000000;
static uint32_t slow[LONGEST_US + 1];  // by length
static struct window {
  uint64_t end;
  uint64_t reads;
} windows[WINDOWS];  // since the last signal, the first of them
static size_t made;
static volatile sig_atomic_t asked;
static volatile uint64_t sink;

static void ask(int number) { asked = number; }
static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static unsigned quantile(uint64_t count, double share) {
  uint64_t wanted = (uint64_t)((double)count * share), seen = 0;
  for (unsigned us = 0; us <= LONGEST_US; us++) {
    seen += slow[us];
    if (seen > wanted) return us;
  }
  return 0;
}

static double speed(size_t from, size_t to) {  // reads per ns of windows from to to - 1
  uint64_t reads = 0;
  for (size_t i = from; i < to; i++) reads += windows[i].reads;
  return (double)reads / (double)(windows[to - 1].end - windows[from - 1].end);
}

// Of the windows noted so far; 0: it never fell, -1: it is not back.
static double back_after_ms(void) {
  if (made < BEFORE + BACK + 2) return -1;
  double before = speed(1, BEFORE + 1);
  size_t fell = BEFORE + 1;
  while (fell < made && speed(fell, fell + 1) >= 0.2 * before) fell++;
  if (fell == made) return 0;
  for (size_t i = fell + 1; i + BACK <= made; i++) {
    if (speed(i, i + BACK) >= 0.9 * before) return (double)(windows[i - 1].end - windows[fell - 1].end) * 1e-6;
  }
  return -1;
}

static void tell(void) {
  uint64_t count = 0;
  for (unsigned us = 0; us <= LONGEST_US; us++) count += slow[us];
  printf("slow %llu median %u p99 %u back %.0f\n", (unsigned long long)count, quantile(count, 0.5),
         quantile(count, 0.99), back_after_ms());
  fflush(stdout);
  memset(slow, 0, sizeof slow);
  made = 0;
}

int main(int count, char** arguments) {
  uint64_t pages = (count > 1 ? strtoull(arguments[1], NULL, 10) : 64) << 8;
  int forward = count > 2 && strcmp(arguments[2], "forward") == 0;
  uint64_t* memory = malloc(pages * PAGE);
  for (uint64_t word = 0; word < pages * PAGE / 8; word++) memory[word] = word * 0x9e3779b97f4a7c15u;
  signal(SIGUSR1, ask);
  printf("ready\n");
  fflush(stdout);
  uint64_t random = 88172645463325252u, page = 0, reads = 0, begun = now();
  for (uint64_t last = begun;;) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    page = (forward ? page + 1 : random) % pages;
    sink = memory[page * (PAGE / 8)];
    reads++;
    uint64_t time = now();
    uint64_t us = (time - last) / 1000;
    last = time;
    if (us >= SLOW_US) slow[us > LONGEST_US ? LONGEST_US : us]++;
    if (time - begun < kWindowNs) continue;
    if (made < WINDOWS) windows[made++] = (struct window){time, reads};
    reads = 0, begun = time;
    if (!asked) continue;
    asked = 0;
    tell();
    begun = last = now();
  }
}
