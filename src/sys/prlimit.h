// prlimit(2): another process's resource limits. Reading them of another user's process needs CAP_SYS_RESOURCE, which a
// container may lack; /proc/PID/limits says the same (proc/limits.h).
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"

namespace godwit::sys {

struct LimitPair {
  uint64_t soft;
  uint64_t hard;
};

// ErrorKind::denied when the hard limit would grow and we lack CAP_SYS_RESOURCE.
Result<void> set_limit(pid_t pid, uint32_t resource, LimitPair limit);

}  // namespace godwit::sys
