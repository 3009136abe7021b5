// What the self-checking programs share: each runs, verifying all the time, until the file named by its first argument
// is there, verifies once more that what it uses still works, prints PASS and ends with 0.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      dprintf(1, "FAIL %s:%d: %s (errno %d: %s)\n", __FILE__, __LINE__, #condition, errno, strerror(errno)); \
      _exit(1);                                                                                              \
    }                                                                                                        \
  } while (0)

static const char* flag_path;

static inline void begin(int count, char** arguments) {
  if (count < 2) {
    dprintf(2, "usage: %s FLAG_FILE\n", arguments[0]);
    _exit(2);
  }
  flag_path = arguments[1];
}
static inline void ready(void) { dprintf(1, "ready\n"); }
static inline int told_to_stop(void) { return access(flag_path, F_OK) == 0; }
static inline int pass(void) {
  dprintf(1, "PASS\n");
  return 0;
}
static inline void await_exit(pid_t child, int code) {
  int status;
  pid_t ended;
  do {
    ended = waitpid(child, &status, 0);
  } while (ended < 0 && errno == EINTR);
  CHECK(ended == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}
static inline double now_on(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static inline void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {
  }
}
