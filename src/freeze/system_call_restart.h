// What a thread was doing in the kernel when it was stopped, and what it takes to go on as if it had not been.
//
// A stop makes a sleeping system call return early; rax of the stopped thread tells how (arch/x86/kernel/signal.c,
// arch_do_signal_or_restart):
//   -ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND: the kernel makes the call again by itself, here or in a copy of the
//   thread. -ERESTART_RESTARTBLOCK: the kernel goes on with what is left of the time, kept in task->restart_block. A
//   copy has no
//     such block: it is planted anew (freeze/replant.h).
//   -EINTR: some calls never restart (signal(7)). Without a signal handler that ran, a program must not see that: the
//   call is
//     made again with what is left of its timeout.
// Pure functions; clocks and memory are read by their callers.
#pragma once

#include <sys/user.h>

#include <cstdint>

#include "freeze/kernel_tasks.h"
#include "godwit/image.pb.h"

namespace godwit::freeze {

inline constexpr int64_t kRestartSystemCall = -512;   // ERESTARTSYS, include/linux/errno.h
inline constexpr int64_t kRestartNoInterrupt = -513;  // ERESTARTNOINTR
inline constexpr int64_t kRestartNoHandler = -514;    // ERESTARTNOHAND
inline constexpr int64_t kRestartBlock = -516;        // ERESTART_RESTARTBLOCK

// Where a call has its timeout.
enum class TimeoutKind {
  none,
  milliseconds,      // an int in a register; negative: for ever
  timespec_pointer,  // a register points to struct timespec; null: for ever
  timeval_pointer,
};
struct TimeoutPlace {
  TimeoutKind kind = TimeoutKind::none;
  unsigned argument = 0;  // 0 to 5
};

// Calls that return -EINTR from a stop although nothing was transferred, so that they may be made again.
bool may_repeat(uint64_t number);
// Of a call that may be repeated, or whose remaining time the kernel writes back (select, pselect6, ppoll).
TimeoutPlace timeout_place(uint64_t number);

// What is known of the wait beyond the registers.
struct WaitFacts {
  RestartFunction function = RestartFunction::unknown;
  int64_t remaining_ns = 0;   // of the restart block's timeout
  bool has_timeout = true;    // poll may have none
  int32_t clock = 1;          // nanosleep: the clock it sleeps on
  uint64_t rest_address = 0;  // nanosleep: where the program wants the rest; 0: nowhere
  bool waited_known = false;
  int64_t waited_ns = 0;
};

// `facts`: null when nothing but the registers is known.
image::SystemCallInProgress classify_call(const user_regs_struct& registers, const WaitFacts* facts);

// The same from the kernel's records: `before` was read just before the freeze, `now` in it; both may be null.
image::SystemCallInProgress classify(const user_regs_struct& registers, const TaskRecord* before, const TaskRecord* now,
                                     const KernelTasks* tasks);

}  // namespace godwit::freeze
