// /proc/PID/stat and /proc/PID/task/TID/stat as values. A pure function of text. Source: proc_pid_stat(5).
// Numbers of processes are those of the pid namespace of the /proc that was read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::proc {

struct Stat {
  int32_t pid = 0;
  std::string name;
  char state = '?';
  int32_t parent = 0, process_group = 0, session = 0;
  int32_t terminal = 0;          // device number of the controlling terminal; 0: none
  int32_t foreground_group = 0;  // -1: none
  uint32_t flags = 0;            // PF_*
  int32_t priority = 0, nice = 0;
  int32_t threads = 0;
  uint64_t start_time_ticks = 0;                           // since boot, in clock ticks
  uint64_t start_code = 0, end_code = 0, start_stack = 0;  // these and below: 0 without permission to trace
  int32_t exit_signal = 0;
  uint64_t start_data = 0, end_data = 0, start_brk = 0;
  uint64_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;
  int32_t exit_code = 0;  // wait(2) status word

  // PF_FORKNOEXEC says that the process has not called execve since it was forked (linux/sched.h).
  bool has_executed() const { return (flags & 0x40) == 0; }
};

Result<Stat> parse_stat(std::string_view text);

}  // namespace godwit::proc
