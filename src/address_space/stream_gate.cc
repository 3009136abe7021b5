#include "address_space/stream_gate.h"

#include <chrono>

namespace godwit::address_space {

namespace {

constexpr std::chrono::minutes kPatience(2);  // for a single frame

}  // namespace

Result<void> StreamGate::pass(uint64_t epoch, const std::function<Result<void>()>& put) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || epoch < epoch_ || (open_ && epoch == epoch_); });
    if (failure_) return Error(*failure_);
    if (epoch < epoch_) return error(ErrorKind::corrupt, "pages of a round that is over");
    ++putting_;
  }
  auto result = put();
  std::lock_guard lock(mutex_);
  --putting_;
  ++in_place_;
  changed_.notify_all();
  return result;
}

void StreamGate::fail(Error failure) {
  std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
  open_ = false;
  changed_.notify_all();
}

Result<void> StreamGate::barrier(uint64_t frames, uint64_t epoch) {
  std::unique_lock lock(mutex_);
  if (epoch != epoch_ && (open_ || epoch != epoch_ + 1)) return error(ErrorKind::corrupt, "rounds out of order");
  while (!failure_ && in_place_ < frames) {
    uint64_t before = in_place_;
    if (!changed_.wait_for(lock, kPatience, [&] { return failure_ || in_place_ != before; })) {
      return error(ErrorKind::exhausted, "pages that the other node has sent do not arrive");
    }
  }
  open_ = false;
  changed_.wait(lock, [&] { return putting_ == 0; });
  if (failure_) return Error(*failure_);
  if (in_place_ != frames) return error(ErrorKind::corrupt, "more pages came than were sent");
  open_ = epoch != epoch_;
  epoch_ = epoch;
  changed_.notify_all();
  return {};
}

Result<void> StreamGate::expect_closed() {
  std::lock_guard lock(mutex_);
  if (open_ || putting_ > 0) return error(ErrorKind::corrupt, "something came among pages that must not meet them");
  return {};
}

}  // namespace godwit::address_space
