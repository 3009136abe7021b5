// POSIX timers of a process (timer_create(2)): listed in /proc/PID/timers, asked and made again from inside with the
// same numbers. Numbers are given by PR_TIMER_CREATE_RESTORE_IDS (Linux 6.16) or, before that, by counting up: the
// kernel hands them out in order to a process that has made none. Owns nothing. The overrun count of a timer does not
// travel.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "godwit/image.pb.h"
#include "proc/timers.h"

namespace godwit::objects {

// The tid inside the job of a thread given by its number outside.
using TidInside = std::function<Result<pid_t>(pid_t outside)>;

class PosixTimerQuestions {
 public:
  // `listed`: the parsed /proc/PID/timers. Errors: unsupported (a clock that cannot be made again, too many timers).
  Result<void> add(freeze::CallBatch& batch, std::span<const proc::TimerEntry> listed, size_t threads);
  Result<void> answers(const freeze::CallBatch& batch, const TidInside& tid_inside, image::Process& process) const;

 private:
  struct Question {
    proc::TimerEntry entry;
    size_t call;
    freeze::RemoteAddress at;
  };
  std::vector<Question> questions_;
};

// Whether this kernel lets a process choose its timers' numbers.
bool kernel_restores_timer_ids();

// `elapsed`: since the capture. Run in the main thread of a process without timers.
Result<void> add_posix_timers(freeze::CallBatch& batch, const image::Process& process, std::chrono::nanoseconds elapsed,
                              bool restore_ids);

}  // namespace godwit::objects
