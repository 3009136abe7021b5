#include "address_space/page_filler.h"

#include <algorithm>

#include "sys/own_thread.h"

namespace godwit::address_space {

namespace {

constexpr size_t kLittle = size_t{128} << 10;  // put sooner than a thread is woken

}  // namespace

PageFiller::PageFiller(Put put, size_t buffer_bytes) : put_(std::move(put)) {
  for (Load& load : loads_) load.buffer.assign(buffer_bytes, std::byte{1});  // touched now, not in the freeze
}

Result<std::unique_ptr<PageFiller>> PageFiller::start(Put put, size_t buffer_bytes) {
  std::unique_ptr<PageFiller> filler(new PageFiller(std::move(put), buffer_bytes));
  filler->thread_ = TRY(sys::start_own_thread([filler = filler.get()] { filler->run(); }));
  return filler;
}

PageFiller::~PageFiller() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::span<std::byte> PageFiller::room() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return given_ - done_ < loads_.size(); });
  return loads_[given_ % loads_.size()].buffer;
}

Result<void> PageFiller::put(const Load& load) {
  return put_(load.pid, load.ranges, std::span(load.buffer).first(load.size));
}

Result<void> PageFiller::put(pid_t pid, std::vector<sys::AddressRange> ranges, size_t size) {
  if (size <= kLittle) TRY(settle());
  std::unique_lock lock(mutex_);
  TRY(Result<void>(failure_));
  Load& load = loads_[given_ % loads_.size()];
  load.pid = pid;
  load.ranges = std::move(ranges);
  load.size = size;
  if (size <= kLittle) return put(load);
  ++given_;
  lock.unlock();
  changed_.notify_all();
  return {};
}

Result<void> PageFiller::settle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return done_ == given_; });
  return failure_;
}

void PageFiller::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return over_ || done_ < given_; });
    if (over_) return;
    const Load& load = loads_[done_ % loads_.size()];
    bool failed = !failure_;
    lock.unlock();
    auto result = failed ? Result<void>() : put(load);
    lock.lock();
    if (!result) failure_ = std::move(result);
    ++done_;
    changed_.notify_all();
  }
}

}  // namespace godwit::address_space
