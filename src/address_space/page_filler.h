// PageFiller: a thread that puts pages into a process while the next ones are received: the two take equally long.
#pragma once

#include <sys/types.h>

#include <array>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/result.h"
#include "sys/process_memory.h"

namespace godwit::address_space {

class PageFiller {
 public:
  // The bytes of the ranges, one after the other.
  using Put = std::function<Result<void>(pid_t, std::span<const sys::AddressRange>, std::span<const std::byte>)>;

  // `put` is called by the filler's thread, or by the caller's, never by both at once. `buffer_bytes`: the most that is
  // put in one go.
  static Result<std::unique_ptr<PageFiller>> start(Put put, size_t buffer_bytes);
  ~PageFiller();
  PageFiller(const PageFiller&) = delete;
  PageFiller& operator=(const PageFiller&) = delete;

  // Where the next content is to go. Waits until there is room.
  std::span<std::byte> room();
  // Puts the first `size` bytes of room(), soon; little of it at once. Errors: those of what was put before, too.
  Result<void> put(pid_t pid, std::vector<sys::AddressRange> ranges, size_t size);
  // Returns when everything has been put. Whoever touches what `put` uses calls this first.
  Result<void> settle();

 private:
  struct Load {
    std::vector<std::byte> buffer;
    pid_t pid = 0;
    std::vector<sys::AddressRange> ranges;
    size_t size = 0;
  };
  PageFiller(Put put, size_t buffer_bytes);
  Result<void> put(const Load& load);
  void run();

  Put put_;
  std::array<Load, 4> loads_;  // those from done_ up to given_, both modulo their number, are to be put
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t given_ = 0, done_ = 0;
  bool over_ = false;
  Result<void> failure_;
  std::thread thread_;
};

}  // namespace godwit::address_space
