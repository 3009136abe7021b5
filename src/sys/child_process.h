// Child processes: fork(2), execve(2), waitpid(2), kill(2), and the signals of one that waits for its child.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <span>
#include <string>

#include "base/result.h"

namespace godwit::sys {

// 0 in the child.
Result<pid_t> fork_child();
// Waits for a child to end: its wait(2) status.
Result<int> wait_for_child(pid_t pid);
// Becomes the program; returns only when that fails. A name without '/' is looked for in $PATH of `environment`.
Error execute(const std::string& program, std::span<const std::string> arguments,
              std::span<const std::string> environment);
Result<void> send_signal(pid_t pid, int signal);
// Every signal back to its default action, none blocked: what a new program expects.
void reset_signals();
// This process is killed when its parent thread ends.
Result<void> die_with_parent();
// A session of its own, without a terminal.
Result<void> new_session();
// Descriptors 0, 1 and 2 become these.
Result<void> set_standard_streams(int in, int out, int err);
// Every descriptor from `first` on is closed at the next execve.
Result<void> close_others_on_exec(int first);
// Takes the next pending signal of a blocked set, waiting for it.
Result<siginfo_t> take_signal(const sigset_t& set);

}  // namespace godwit::sys
