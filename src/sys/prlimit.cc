#include "sys/prlimit.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<void> set_limit(pid_t pid, uint32_t resource, LimitPair limit) {
  // the system call itself: the library's function refuses resources that it does not know
  if (::syscall(SYS_prlimit64, pid, resource, &limit, nullptr) < 0) {
    return last_error("prlimit", "resource " + std::to_string(resource) + " of pid " + std::to_string(pid));
  }
  return {};
}

}  // namespace godwit::sys
