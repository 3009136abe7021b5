#include "init/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace godwit::init {

namespace {

void default_signals() {
  for (int signal = 1; signal < 65; ++signal) {
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);  // fails for SIGKILL and SIGSTOP only
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

int take_console(const Console& console) {
  int streams[3] = {console.near_input(), console.terminal() ? console.near_input() : console.near_output(),
                    console.terminal() ? console.near_input() : console.near_error()};
  for (int number = 0; number < 3; ++number) {
    if (dup2(streams[number], number) < 0) return errno;
  }
  if (setsid() < 0) return errno;
  if (console.terminal() && ioctl(0, TIOCSCTTY, 0) != 0) return errno;
  return 0;
}

int become_owner(const Program& program) {
  if (setgroups(program.groups.size(), program.groups.data()) != 0) return errno;
  if (setresgid(program.gid, program.gid, program.gid) != 0) return errno;
  if (setresuid(program.uid, program.uid, program.uid) != 0) return errno;
  if (program.directory[0] != 0 && chdir(program.directory) != 0) return errno;
  return 0;
}

[[noreturn]] void run(const Program& program, const Console& console, int report) {
  default_signals();
  int failed = take_console(console);
  if (failed == 0) failed = become_owner(program);
  if (failed == 0) {
    environ = const_cast<char**>(program.environment.data());
    close_range(3, static_cast<unsigned>(report) - 1, 0);
    close_range(static_cast<unsigned>(report) + 1, ~0U, 0);
    execvp(program.arguments[0], program.arguments.data());
    failed = errno;
  }
  ssize_t told = write(report, &failed, sizeof failed);
  _exit(told > 0 && failed == ENOENT ? 127 : 126);
}

}  // namespace

pid_t spawn(const Program& program, const Console& console, int cgroup_fd) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return -errno;
  // Out of the way of the standard streams and of anything the console has.
  int high = fcntl(report[1], F_DUPFD_CLOEXEC, 200);
  close(report[1]);
  clone_args arguments{};
  arguments.flags = CLONE_INTO_CGROUP;
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<__u64>(cgroup_fd);
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) run(program, console, high);
  int clone_failed = errno;
  close(high);
  int failed = 0;
  ssize_t told = pid > 0 ? read(report[0], &failed, sizeof failed) : 0;
  close(report[0]);
  if (pid < 0) return -clone_failed;
  if (told == static_cast<ssize_t>(sizeof failed)) {
    waitpid(static_cast<pid_t>(pid), nullptr, 0);
    return -failed;
  }
  return static_cast<pid_t>(pid);
}

}  // namespace godwit::init
