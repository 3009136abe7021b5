// /proc/PID/limits as values. A pure function of text. Source: proc_pid_limits(5), setrlimit(2).
// It can be read where prlimit(2) refuses (another user's process without CAP_SYS_RESOURCE).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::proc {

inline constexpr uint64_t kUnlimited = ~uint64_t{0};  // RLIM_INFINITY

struct Limit {
  uint32_t resource = 0;  // RLIMIT_*
  uint64_t soft = 0, hard = 0;
};

// All sixteen, in the order of RLIMIT_*.
Result<std::vector<Limit>> parse_limits(std::string_view text);

}  // namespace godwit::proc
