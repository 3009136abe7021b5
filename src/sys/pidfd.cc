#include "sys/pidfd.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sys/errno.h"
#include "sys/text_file.h"

namespace godwit::sys {

Result<UniqueFd> pidfd_getfd(int pidfd, int number) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, number, 0)));
  if (fd.valid()) return fd;
  Error failed = last_error("pidfd_getfd", "descriptor " + std::to_string(number));
  if (failed.errno_value == EBADF) failed.kind = ErrorKind::gone;
  return failed;
}

Result<bool> same_description(pid_t holder, int number, int own) {
  auto order = checked(static_cast<int>(::syscall(SYS_kcmp, holder, ::getpid(), KCMP_FILE, number, own)), "kcmp");
  if (order) return *order == 0;
  Error failed = std::move(order).error();
  if (failed.errno_value == EBADF) failed.kind = ErrorKind::gone;
  return failed;
}

Result<bool> same_descriptor_table(pid_t first, pid_t second) {
  if (TRY(checked(static_cast<int>(::syscall(SYS_kcmp, first, second, KCMP_FILES, 0, 0)), "kcmp")) != 0) return false;
  // Of two that are ending the kernel says so too: neither has a table. Source: Linux fs/proc/array.c, task_state().
  std::string status = TRY(read_text("/proc/" + std::to_string(first) + "/status"));
  return status.find("\nFDSize:\t0\n") == std::string::npos;
}

}  // namespace godwit::sys
