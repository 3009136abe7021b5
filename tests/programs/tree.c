// A tree of processes: sessions, groups, a zombie, an orphan; parents wait for children with the right statuses.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"

static void live(pid_t parent, pid_t group, pid_t session) {
  pid_t self = getpid();
  while (!told_to_stop()) {
    CHECK(getpid() == self && getpgid(0) == group && getsid(0) == session);
    if (parent != 0) CHECK(getppid() == parent);
    pause_ms(5);
  }
}

int main(int count, char** arguments) {
  begin(count, arguments);
  pid_t self = getpid(), own_group = getpgid(0), own_session = getsid(0);
  pid_t plain = fork();
  if (plain == 0) {
    live(self, own_group, own_session);
    _exit(11);
  }
  pid_t grouped = fork();
  if (grouped == 0) {
    setpgid(0, 0);
    pid_t grandchild = fork();
    if (grandchild == 0) {
      live(getppid(), getpgid(0), own_session);
      _exit(3);
    }
    live(self, getpid(), own_session);
    int status;
    CHECK(waitpid(grandchild, &status, 0) == grandchild && WEXITSTATUS(status) == 3);
    _exit(12);
  }
  pid_t leader = fork();
  if (leader == 0) {
    CHECK(setsid() == getpid());
    live(self, getpid(), getpid());
    _exit(13);
  }
  pid_t zombie = fork();
  if (zombie == 0) _exit(14);
  pid_t killed = fork();
  if (killed == 0) {
    kill(getpid(), SIGKILL);
    pause();
  }
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t between = fork();
  if (between == 0) {
    if (fork() == 0) {  // an orphan, soon
      pause_ms(50);
      live(1, own_group, own_session);
      CHECK(write(ends[1], "o", 1) == 1);
      _exit(0);
    }
    _exit(0);
  }
  CHECK(waitpid(between, NULL, 0) == between);
  pause_ms(100);
  ready();
  live(0, own_group, own_session);
  struct {
    pid_t pid;
    int status;
  } expected[] = {{plain, 11 << 8}, {grouped, 12 << 8}, {leader, 13 << 8}, {zombie, 14 << 8}, {killed, SIGKILL}};
  for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    int status;
    CHECK(waitpid(expected[i].pid, &status, 0) == expected[i].pid && status == expected[i].status);
  }
  CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 1 && byte == 'o');
  return pass();
}
