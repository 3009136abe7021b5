// eventfd, epoll (level, edge, one-shot), timerfd and signalfd.
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "check.h"

int main(int count, char** arguments) {
  begin(count, arguments);
  int counter = eventfd(3, EFD_NONBLOCK), semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), epoll = epoll_create1(EPOLL_CLOEXEC);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  int signals = signalfd(-1, &set, SFD_NONBLOCK), pipe_ends[2];
  CHECK(counter >= 0 && semaphore >= 0 && timer >= 0 && epoll >= 0 && signals >= 0 && pipe(pipe_ends) == 0);
  struct itimerspec tenth = {{0, 100000000}, {0, 100000000}};
  CHECK(timerfd_settime(timer, 0, &tenth, NULL) == 0);
  struct {
    int fd;
    uint32_t events;
  } watched[] = {{timer, EPOLLIN}, {signals, EPOLLIN | EPOLLET}, {pipe_ends[0], EPOLLIN | EPOLLONESHOT}};
  for (unsigned i = 0; i < 3; i++) {
    struct epoll_event event = {watched[i].events, {.u64 = 0x1234567800000000u + (uint64_t)watched[i].fd}};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, watched[i].fd, &event) == 0);
  }
  ready();
  double start = now_on(CLOCK_MONOTONIC);
  uint64_t expirations = 0, word;
  int sent = 0, received = 0;
  while (!told_to_stop()) {
    if (sent == received) CHECK(kill(getpid(), SIGUSR1) == 0 && ++sent);
    struct epoll_event events[4];
    int ready_count = epoll_wait(epoll, events, 4, 1000);
    CHECK(ready_count > 0);
    for (int i = 0; i < ready_count; i++) {
      CHECK(events[i].data.u64 >> 32 == 0x12345678);
      int fd = (int)(events[i].data.u64 & 0xffffffff);
      struct signalfd_siginfo info;
      if (fd == timer && read(timer, &word, sizeof word) == sizeof word) expirations += word;
      if (fd == signals && read(signals, &info, sizeof info) == sizeof info) received += info.ssi_signo == SIGUSR1;
      CHECK(fd == timer || fd == signals);
    }
  }
  double passed = now_on(CLOCK_MONOTONIC) - start;
  CHECK((double)expirations > passed / 0.1 - 12 && (double)expirations < passed / 0.1 + 3);
  CHECK(read(counter, &word, sizeof word) == sizeof word && word == 3);
  CHECK(read(semaphore, &word, sizeof word) == sizeof word && word == 1);
  CHECK(read(semaphore, &word, sizeof word) == sizeof word && word == 1);
  CHECK(read(semaphore, &word, sizeof word) == -1 && errno == EAGAIN);
  CHECK(write(pipe_ends[1], "x", 1) == 1);
  int seen = 0;
  for (int i = 0; i < 5; i++) {
    struct epoll_event events[4];
    int ready_count = epoll_wait(epoll, events, 4, 50);
    for (int k = 0; k < ready_count; k++) seen += (int)(events[k].data.u64 & 0xffffffff) == pipe_ends[0];
  }
  CHECK(seen == 1);
  return pass();
}
