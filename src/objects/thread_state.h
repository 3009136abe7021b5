// A thread's state beyond its stack and memory: registers, masks, pending signals, addresses the kernel keeps for it,
// name, credentials and scheduling.
//
// Capture in three parts, so that a freeze asks as little as possible: what seldom changes is read before the freeze
// (read_thread_ahead), what the kernel tells from outside is read inside it (capture_thread), and only without a
// KernelTasks record does the thread itself have to answer (ThreadStateQuestions). Restore: calls made by the thread
// itself (add_thread_calls), then what is set from outside (restore_thread). Owns nothing. A failure at the source
// leaves the thread as it was; at the destination the thread must be discarded. Uses ptrace(2), prctl(2),
// get_robust_list(2), rseq(2).
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "freeze/task_record.h"
#include "godwit/image.pb.h"
#include "objects/credentials.h"

namespace godwit::objects {

// Name, credentials, scheduling, from /proc and the sched_* calls: before the freeze. About 25 us a thread.
Result<void> read_thread_ahead(pid_t host_pid, pid_t host_tid, image::Thread& thread);

// Whether what read_thread_ahead() found may have changed since: compares records of then and now.
bool changed_since(const godwit_task_record& then, const godwit_task_record& now);

// In the freeze, from outside: registers, extended state, signal mask, pending signals, robust list, rseq, and from
// `record` (null without KernelTasks) all that ThreadStateQuestions would ask. `registers`: as they are in the stop.
// Requires: the thread is stopped and traced by us. Without a record: before a RemoteCalls scope is opened in it, which
// changes its signal mask.
Result<void> capture_thread(pid_t host_pid, pid_t host_tid, const user_regs_struct& registers,
                            const godwit_task_record* record, image::Thread& thread);

// What only the thread itself can be asked; needed when there is no record of it. Run in that thread.
class ThreadStateQuestions {
 public:
  void add(freeze::CallBatch& batch);
  Result<void> answers(const freeze::CallBatch& batch, image::Thread& thread) const;

 private:
  std::optional<freeze::RemoteAddress> tid_address_, stack_, death_signal_;
  size_t tid_address_call_ = 0, stack_call_ = 0, death_signal_call_ = 0, slack_call_ = 0, securebits_call_ = 0;
};

// Calls that make the calling thread what `thread` says, credentials last; signal sets and registers come from outside.
// `pid` is the process's number inside the job, `current` what the thread's credentials are now. Requires: every signal
// is blocked, the process has its signal actions, check_thread() agreed. All calls must succeed.
Result<void> add_thread_calls(freeze::CallBatch& batch, pid_t pid, const image::Thread& thread,
                              const image::Credentials& current);

// Bounds of everything that restoring uses, and that the owner may have it. Before anything is made.
Result<void> check_thread(const image::Thread& thread, const Owner& owner, const image::Credentials& available);

// From outside, after its calls: extended state, signal mask, scheduling. Not the general registers: see
// freeze/replant.h, which sets them last.
Result<void> restore_thread(pid_t host_tid, const image::Thread& thread);

}  // namespace godwit::objects
