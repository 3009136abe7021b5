#include "address_space/streams_choice.h"

namespace godwit::address_space {

namespace {

constexpr double kBusy = 0.6;     // of a sending thread's time: below, it is the link that is slow
constexpr double kCarries = 1.1;  // times as much, or a further one is not worth its processor

}  // namespace

uint32_t StreamsChoice::after(const Interval& interval) {
  if (settled_) return streams_;
  if (streams_ > 1 && !begun_) {  // the new connection was being made
    begun_ = true;
    return streams_;
  }
  double rate = static_cast<double>(interval.bytes) / interval.seconds;
  if (rate < kCarries * rate_before_) {
    settled_ = true;
    return --streams_;
  }
  bool busy = interval.busy_seconds > kBusy * interval.seconds * streams_;
  if (!busy || interval.idle_processors < 1 || streams_ == kMost) {
    settled_ = streams_ > 1;
    return streams_;
  }
  rate_before_ = rate;
  begun_ = false;
  return ++streams_;
}

}  // namespace godwit::address_space
