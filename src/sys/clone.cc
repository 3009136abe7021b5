#include "sys/clone.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<Cloned> clone_process(uint64_t flags, int cgroup) {
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = flags | CLONE_PIDFD | CLONE_INTO_CGROUP;
  arguments.pidfd = reinterpret_cast<__u64>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<__u64>(cgroup);
  long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return last_error("clone3");
  if (pid == 0) return Cloned{0, UniqueFd()};
  return Cloned{static_cast<pid_t>(pid), UniqueFd(pidfd)};
}

}  // namespace godwit::sys
