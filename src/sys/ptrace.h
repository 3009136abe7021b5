// ptrace(2) requests, one function each. Every request but seize needs a stopped tracee and must come from the thread
// that seized it. Owns nothing: the caller detaches. Source: ptrace(2); Linux kernel/ptrace.c,
// arch/x86/kernel/ptrace.c.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <sys/user.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"

namespace godwit::sys {

using Deadline = std::chrono::steady_clock::time_point;

struct RseqConfiguration {  // struct ptrace_rseq_configuration, linux/ptrace.h
  uint64_t address;
  uint32_t size;
  uint32_t signature;
  uint32_t flags;
};

// What a wait for one tracee found.
struct Stop {
  enum class Kind { ended, interrupt, group_stop, signal, system_call, event };
  Kind kind;
  int signal;  // the signal (signal, group_stop), PTRACE_EVENT_* (event) or wait(2) status (ended)
};

// Attaches without stopping. `options`: PTRACE_O_*.
Result<void> ptrace_seize(pid_t tid, unsigned long options);
Result<void> ptrace_interrupt(pid_t tid);
Result<void> ptrace_continue(pid_t tid, int signal = 0);
// Continues to the next entry to or exit from a system call.
Result<void> ptrace_system_call(pid_t tid, int signal = 0);
Result<void> ptrace_detach(pid_t tid, int signal = 0);
// Instead of what ptrace_seize() was given.
Result<void> ptrace_set_options(pid_t tid, unsigned long options);

Result<user_regs_struct> get_registers(pid_t tid);
Result<void> set_registers(pid_t tid, const user_regs_struct& registers);
// The XSAVE area in its non-compacted form, as long as this processor's (a few kilobytes).
Result<std::vector<std::byte>> get_extended_state(pid_t tid);
Result<void> set_extended_state(pid_t tid, std::vector<std::byte> state);
// Bit n-1 stands for signal n.
Result<uint64_t> get_signal_mask(pid_t tid);
Result<void> set_signal_mask(pid_t tid, uint64_t mask);
// Signals sent and not yet delivered, oldest first: to the whole process (shared) or to this thread.
Result<std::vector<siginfo_t>> peek_pending_signals(pid_t tid, bool shared);
Result<RseqConfiguration> get_rseq_configuration(pid_t tid);

// The next stop or end of `tid`, if there is one now.
Result<std::optional<Stop>> try_wait(pid_t tid);
// The same, waited for: polls for at most `spin`, then blocks. ErrorKind::exhausted at the deadline.
Result<Stop> wait_for_stop(pid_t tid, Deadline deadline, std::chrono::microseconds spin = std::chrono::microseconds(0));

}  // namespace godwit::sys
