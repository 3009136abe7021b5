// What a process has once for all its threads: signal actions, pending signals, timers, limits, umask and the settings
// of prctl(2) and /proc.
//
// Capture: read_process_ahead() before the freeze, capture_process() from outside in the freeze, and
// ProcessStateQuestions in one batch of the main thread. Restore: add_process_calls() in the main thread after the
// credentials of *every* thread are set (changing them resets the dumpable flag), then restore_process() from outside.
// Owns nothing. A failure at the source leaves the process as it was; at the destination it must be discarded.
#pragma once

#include <sys/types.h>

#include <chrono>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "freeze/task_record.h"
#include "godwit/image.pb.h"
#include "objects/credentials.h"
#include "objects/interval_timers.h"
#include "objects/posix_timers.h"
#include "objects/signals.h"
#include "proc/status.h"

namespace godwit::objects {

// Limits, personality, core filter, oom_score_adj: before the freeze. Fills in only these fields.
Result<void> read_process_ahead(pid_t host_pid, image::Process& process);

class ProcessStateQuestions {
 public:
  // Reads /proc/PID/status and timers (two files), then adds the calls. Requires: the process is stopped.
  Result<void> add(freeze::CallBatch& batch, pid_t host_pid);
  // `tid_inside`: for timers that signal one thread. Also stores what status told (umask, name).
  Result<void> answers(const freeze::CallBatch& batch, const TidInside& tid_inside, image::Process& process) const;

 private:
  SignalActionQuestions actions_;
  IntervalTimerQuestions intervals_;
  PosixTimerQuestions timers_;
  freeze::RemoteAddress subreaper_{};
  size_t subreaper_call_ = 0, dumpable_call_ = 0, huge_pages_call_ = 0;
  uint32_t umask_ = 0;
  std::string name_;
};

// All that the questions ask but the name, from what the kernel shows. Requires: record.facts.timers is 0.
void take_process_state(const godwit_process_record& record, const proc::Status& status, image::Process& process);

// Signals sent to the whole process. `record`: of its main thread, or null. Requires: its main thread is stopped and
// traced.
Result<void> capture_process_pending(pid_t host_pid, const godwit_task_record* record, image::Process& process);

Result<void> check_process(const image::Process& process);
Result<void> add_process_calls(freeze::CallBatch& batch, const image::Process& process,
                               std::chrono::nanoseconds elapsed, bool restore_timer_ids);
// `present`: what read_process_ahead() tells of the process as it is now.
Result<void> restore_process(pid_t host_pid, const image::Process& process, const image::Process& present,
                             const Owner& owner);

}  // namespace godwit::objects
