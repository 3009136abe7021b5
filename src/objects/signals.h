// What a process does with signals, and the signals sent to it and not yet delivered.
//
// Actions are asked from inside (rt_sigaction(2)), pending signals from outside (PTRACE_PEEKSIGINFO). Pending ones are
// queued again from inside by the receiving thread itself, because the kernel lets only the receiver name a si_code of
// its own (kernel/signal.c, do_rt_sigqueueinfo). SIGKILL and SIGSTOP are never queued again: nothing blocks them.
// Owns nothing; a failure leaves signals partly set in a process that has not run yet.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "freeze/task_record.h"
#include "godwit/image.pb.h"

namespace godwit::objects {

// Reads the actions of the signals in a set; run in any thread of the process.
class SignalActionQuestions {
 public:
  // `not_default`: bit n-1 for signal n: SigCgt | SigIgn of proc::Status.
  void add(freeze::CallBatch& batch, uint64_t not_default);
  Result<void> answers(const freeze::CallBatch& batch, image::SignalActions& actions) const;

 private:
  struct Question {
    int signal;
    size_t call;
    freeze::RemoteAddress action;
  };
  std::vector<Question> questions_;
};

// What the kernel itself shows of them, of signal 1 first, instead of questions.
void take_signal_actions(std::span<const godwit_signal_action> kept, image::SignalActions& actions);

// Sets the actions. Requires: all actions of the process are the default now. Errors: corrupt, exhausted.
Result<void> add_signal_actions(freeze::CallBatch& batch, const image::SignalActions& actions);

// The image of pending signals: `queued` as ptrace shows them, then those of `pending_set` that the kernel keeps
// without a queue entry (it does when memory was short), as the kernel itself would deliver them.
std::vector<image::SignalInfo> pending_images(std::span<const siginfo_t> queued, uint64_t pending_set);

// Queues signals again: to the process (call it in the main thread), or to the calling thread only.
// Requires: every signal is blocked in that thread, actions are set. Numbers are those inside the job.
Result<void> add_process_pending(freeze::CallBatch& batch, pid_t pid,
                                 std::span<const image::SignalInfo* const> pending);
Result<void> add_thread_pending(freeze::CallBatch& batch, pid_t pid, pid_t tid,
                                std::span<const image::SignalInfo* const> pending);

}  // namespace godwit::objects
