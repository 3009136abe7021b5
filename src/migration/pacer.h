// Pacer: when the next bytes may go so that no more than a given number goes each second. What was not used while
// nothing went is not made up for. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace godwit::migration {

class Pacer {
 public:
  using Clock = std::chrono::steady_clock;
  // 0: no limit.
  explicit Pacer(uint64_t bytes_per_second = 0) : rate_(static_cast<double>(bytes_per_second)) {}

  // `bytes` have just gone: how long to wait before the next.
  Clock::duration after(uint64_t bytes, Clock::time_point now) {
    if (rate_ <= 0) return {};
    due_ = std::max(due_, now - kSlack);
    due_ +=
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(static_cast<double>(bytes) / rate_));
    return std::max(due_ - now, Clock::duration(0));
  }

 private:
  static constexpr std::chrono::milliseconds kSlack{20};  // a wait that took too long is made up for

  double rate_;
  Clock::time_point due_;
};

}  // namespace godwit::migration
