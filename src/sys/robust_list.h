// get_robust_list(2): where a thread keeps the list of robust futexes that the kernel walks when it dies.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"

namespace godwit::sys {

struct RobustList {
  uint64_t head = 0;  // address in the thread's process; 0: none
  uint64_t size = 0;
};

// Requires permission to trace the thread.
Result<RobustList> get_robust_list(pid_t tid);

}  // namespace godwit::sys
