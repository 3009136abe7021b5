// The three interval timers of a process (setitimer(2)): asked from inside, set from inside.
// Owns nothing. ITIMER_REAL runs on through a freeze, as it would have without one; the other two count processor time.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "godwit/image.pb.h"

namespace godwit::objects {

class IntervalTimerQuestions {
 public:
  void add(freeze::CallBatch& batch);
  // Timers that do not run are left out.
  Result<void> answers(const freeze::CallBatch& batch, image::IntervalTimers& timers) const;

 private:
  struct Question {
    size_t call = 0;
    freeze::RemoteAddress at{};
  };
  std::array<Question, 3> questions_;
};

// `elapsed`: since the timers were captured. One that should have gone off meanwhile does so as soon as the process
// runs.
Result<void> add_interval_timers(freeze::CallBatch& batch, const image::IntervalTimers& timers,
                                 std::chrono::nanoseconds elapsed);

}  // namespace godwit::objects
