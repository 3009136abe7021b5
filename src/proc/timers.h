// /proc/PID/timers as values: the POSIX timers of a process. A pure function of text. Source: proc_pid_timers(5).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::proc {

struct TimerEntry {
  int32_t id = 0;
  int32_t signal = 0;
  uint64_t value = 0;  // sigev_value
  int32_t notify =
      0;  // SIGEV_SIGNAL, SIGEV_NONE or SIGEV_THREAD, with SIGEV_THREAD_ID added when it goes to one thread
  int32_t target = 0;  // pid or tid in the pid namespace of the /proc that was read
  int32_t clock = 0;
};

Result<std::vector<TimerEntry>> parse_timers(std::string_view text);

}  // namespace godwit::proc
