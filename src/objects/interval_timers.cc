#include "objects/interval_timers.h"

#include <sys/syscall.h>
#include <sys/time.h>

#include <algorithm>

namespace godwit::objects {

namespace {

constexpr uint64_t kMicrosecondsPerSecond = 1'000'000;
constexpr uint64_t kMost = uint64_t{1} << 53;  // microseconds: 285 years

uint64_t microseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * kMicrosecondsPerSecond + static_cast<uint64_t>(time.tv_usec);
}

timeval time_of(uint64_t microseconds) {
  return {static_cast<time_t>(microseconds / kMicrosecondsPerSecond),
          static_cast<suseconds_t>(microseconds % kMicrosecondsPerSecond)};
}

}  // namespace

void IntervalTimerQuestions::add(freeze::CallBatch& batch) {
  for (size_t which = 0; which < questions_.size(); ++which) {
    freeze::RemoteAddress at = batch.reserve(sizeof(itimerval));
    questions_[which] = {batch.add(SYS_getitimer, {which, value(at)}), at};
  }
}

Result<void> IntervalTimerQuestions::answers(const freeze::CallBatch& batch, image::IntervalTimers& timers) const {
  for (size_t which = 0; which < questions_.size(); ++which) {
    if (batch.result(questions_[which].call) != 0) return error(ErrorKind::failed, "getitimer in the program");
    auto timer = batch.read<itimerval>(questions_[which].at);
    uint64_t interval = microseconds(timer.it_interval), left = microseconds(timer.it_value);
    if (left == 0) left = interval;  // it has run out, and begins anew when the program takes its signal
    if (left == 0) continue;
    image::IntervalTimer* image = timers.add_timers();
    image->set_which(static_cast<int32_t>(which));
    image->set_interval_us(interval);
    image->set_value_us(left);
  }
  return {};
}

Result<void> add_interval_timers(freeze::CallBatch& batch, const image::IntervalTimers& timers,
                                 std::chrono::nanoseconds elapsed) {
  constexpr size_t kMostBytes = 1024;
  if (timers.timers_size() > 3) return error(ErrorKind::corrupt, "number of interval timers");
  if (batch.room() < kMostBytes) return error(ErrorKind::exhausted, "interval timers");
  int64_t passed = std::max<int64_t>(elapsed.count() / 1000, 0);
  for (const image::IntervalTimer& image : timers.timers()) {
    bool sound = image.which() >= ITIMER_REAL && image.which() <= ITIMER_PROF && image.interval_us() <= kMost &&
                 image.value_us() <= kMost;
    if (!sound) return error(ErrorKind::corrupt, "an interval timer");
    int64_t left = static_cast<int64_t>(image.value_us()) - (image.which() == ITIMER_REAL ? passed : 0);
    itimerval timer{time_of(image.interval_us()), time_of(static_cast<uint64_t>(std::max<int64_t>(left, 1)))};
    batch.add(SYS_setitimer, {static_cast<uint64_t>(image.which()), value(batch.put_value(timer)), 0});
  }
  return {};
}

}  // namespace godwit::objects
