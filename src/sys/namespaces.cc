#include "sys/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<void> unshare_namespaces(int flags) { return checked_void(::unshare(flags), "unshare"); }

Result<void> join_namespaces(int fd, int flags) { return checked_void(::setns(fd, flags), "setns"); }

Result<UniqueFd> open_namespace(pid_t pid, const std::string& kind) {
  std::string path = "/proc/" + (pid == 0 ? "self" : std::to_string(pid)) + "/ns/" + kind;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  return fd;
}

Result<UniqueFd> open_pidfd(pid_t pid, int flags) {
  return UniqueFd(static_cast<int>(TRY(checked(::syscall(SYS_pidfd_open, pid, flags), "pidfd_open"))));
}

Result<void> set_hostname(const std::string& name) {
  return checked_void(::sethostname(name.data(), name.size()), "sethostname");
}

}  // namespace godwit::sys
