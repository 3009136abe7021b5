// Descriptors of processes: of children and of the program itself, blocking and not, in an epoll set, passed on to a
// child; signals through them, and the end of a process told by each.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

enum { kPidfdNonblock = 04000 };  // PIDFD_NONBLOCK

static int open_pidfd(pid_t pid, unsigned flags) { return (int)syscall(SYS_pidfd_open, pid, flags); }
static int send_through(int fd, int signal) { return (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0); }

static int ended(int fd, int patience_ms) {
  struct pollfd one = {fd, POLLIN, 0};
  int ready = poll(&one, 1, patience_ms);
  CHECK(ready >= 0);
  return ready == 1;
}

static void sleeper(void) {
  for (;;) pause();
}

int main(int count, char** arguments) {
  begin(count, arguments);
  pid_t child = fork();
  if (child == 0) sleeper();
  int fd = open_pidfd(child, 0), again = dup(fd), patient = open_pidfd(child, kPidfdNonblock),
      own = open_pidfd(getpid(), 0);
  CHECK(fd >= 0 && again >= 0 && patient >= 0 && own >= 0);
  pid_t heir = fork();  // has them too
  if (heir == 0) {
    while (!ended(fd, 50)) CHECK(send_through(own, 0) == 0);
    _exit(7);
  }
  int set = epoll_create1(0);
  struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = 42}, told;
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, again, &wanted) == 0);
  ready();
  siginfo_t how;
  while (!told_to_stop()) {
    pause_ms(20);
    CHECK(!ended(fd, 0) && !ended(again, 0) && !ended(patient, 0) && epoll_wait(set, &told, 1, 0) == 0);
    CHECK(send_through(fd, 0) == 0 && send_through(own, 0) == 0);
    CHECK(waitid(P_PIDFD, (id_t)patient, &how, WEXITED) == -1 && errno == EAGAIN);
  }
  CHECK(send_through(again, SIGTERM) == 0);
  CHECK(epoll_wait(set, &told, 1, 5000) == 1 && told.data.u32 == 42);
  CHECK(ended(fd, 5000) && ended(patient, 5000));
  CHECK(waitid(P_PIDFD, (id_t)fd, &how, WEXITED) == 0 && how.si_pid == child && how.si_status == SIGTERM);
  CHECK(send_through(patient, 0) == -1 && errno == ESRCH);
  int status;
  CHECK(waitpid(heir, &status, 0) == heir && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  return pass();
}
