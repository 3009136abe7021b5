// System calls that wait: each in a thread of its own, over and over, must take its time and never fail with EINTR.
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "check.h"

static const double kWait = 0.6;
static int never[2], epoll_fd;

static int sleep_relative(void) {
  struct timespec t = {0, 600000000};
  return nanosleep(&t, NULL);
}
static int sleep_clock(void) {
  struct timespec t = {0, 600000000};
  return -clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}
static int sleep_absolute(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_nsec += 600000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}
static int wait_poll(void) {
  struct pollfd p = {never[0], POLLIN, 0};
  return poll(&p, 1, 600);
}
static int wait_select(void) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(never[0], &set);
  struct timeval t = {0, 600000};
  return select(never[0] + 1, &set, NULL, NULL, &t);
}
static int wait_epoll(void) {
  struct epoll_event event;
  return epoll_wait(epoll_fd, &event, 1, 600);
}
static int wait_futex(void) {
  static int word = 5;
  struct timespec t = {0, 600000000};
  long result = syscall(SYS_futex, &word, FUTEX_WAIT, 5, &t, NULL, 0);
  return result == -1 && errno == ETIMEDOUT ? 0 : -1;
}
static int wait_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  struct timespec t = {0, 600000000};
  int result = sigtimedwait(&set, NULL, &t);
  return result == -1 && errno == EAGAIN ? 0 : -1;
}

static struct {
  const char* name;
  int (*wait)(void);
} kinds[] = {{"nanosleep", sleep_relative}, {"clock_nanosleep", sleep_clock}, {"absolute", sleep_absolute},
             {"poll", wait_poll},           {"select", wait_select},          {"epoll_wait", wait_epoll},
             {"futex", wait_futex},         {"sigtimedwait", wait_signal}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void* repeat(void* argument) {
  long k = (long)argument;
  do {
    double start = now_on(CLOCK_MONOTONIC);
    errno = 0;
    int result = kinds[k].wait();
    double took = now_on(CLOCK_MONOTONIC) - start;
    if (result != 0 || took < kWait - 0.002 || took > kWait + 0.5) {
      dprintf(1, "%s: result %d errno %d after %.3f s\n", kinds[k].name, result, errno, took);
      CHECK(!"a wait that went wrong");
    }
  } while (!told_to_stop());
  return NULL;
}

static void* read_pipe(void* argument) {
  int* ends = argument;
  char byte = 0;
  CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
  return NULL;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  CHECK(pipe(never) == 0 && (epoll_fd = epoll_create1(0)) >= 0);
  struct epoll_event event = {EPOLLIN, {.fd = never[0]}};
  CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, never[0], &event) == 0);
  int ends[2];
  CHECK(pipe(ends) == 0);
  pthread_t threads[KINDS], reader;
  CHECK(pthread_create(&reader, NULL, read_pipe, ends) == 0);
  for (long k = 0; k < KINDS; k++) CHECK(pthread_create(&threads[k], NULL, repeat, (void*)k) == 0);
  ready();
  for (int k = 0; k < KINDS; k++) CHECK(pthread_join(threads[k], NULL) == 0);
  CHECK(write(ends[1], "x", 1) == 1 && pthread_join(reader, NULL) == 0);
  return pass();
}
