// When processors stand still, until SIGTERM: a virtual machine has them taken away. A thread on each, before all
// others, wakes up every half millisecond and prints each time that it was more than MS milliseconds late: "PROCESSOR
// FROM TO", by CLOCK_REALTIME, in seconds.
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double least = 3e-3;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void* watch(void* number) {
  int own = (int)(intptr_t)number;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(own, &one);
  struct sched_param most = {sched_get_priority_max(SCHED_FIFO)};
  if (sched_setaffinity(0, sizeof one, &one) != 0 || sched_setscheduler(0, SCHED_FIFO, &most) != 0) exit(2);
  for (double last = now();;) {
    usleep(500);
    double t = now();
    if (t - last > least) printf("%d %.6f %.6f\n", own, last, t);
    last = t;
  }
  return NULL;
}

int main(int count, char** arguments) {
  if (count > 1) least = atof(arguments[1]) * 1e-3;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (long i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch, (void*)(intptr_t)i) != 0) return 2;
  }
  for (;;) pause();
}
