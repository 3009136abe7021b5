#include "sys/robust_list.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<RobustList> get_robust_list(pid_t tid) {
  RobustList list;
  if (::syscall(SYS_get_robust_list, tid, &list.head, &list.size) < 0) {
    return last_error("get_robust_list", "thread " + std::to_string(tid));
  }
  return list;
}

}  // namespace godwit::sys
