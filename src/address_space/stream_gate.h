// StreamGate: the order between pages that come by further connections and what comes by the main one.
//
// Threads of the further connections put pages only while the gate is open for the epoch that these belong to; the
// main connection's thread opens it, and before it does anything that pages must not meet (another layout, pages
// dropped, guard pages) it waits until as many have been put as the source had sent. Errors of any of them end all
// waits. Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "base/result.h"

namespace godwit::address_space {

class StreamGate {
 public:
  // Of a further connection: puts one frame's pages, when their epoch has come.
  // Errors: corrupt when it is over; those of `put`.
  Result<void> pass(uint64_t epoch, const std::function<Result<void>()>& put);
  void fail(Error failure);

  // Of the main one: `frames` are in place when it returns. With the next epoch the gate is open for it, else closed.
  // Errors: corrupt; exhausted when nothing comes for long; what a further connection failed of.
  Result<void> barrier(uint64_t frames, uint64_t epoch);
  // Errors: corrupt when it is open: what does not go with pages came without a barrier.
  Result<void> expect_closed();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t epoch_ = 0;
  bool open_ = false;
  uint64_t in_place_ = 0;  // frames
  uint32_t putting_ = 0;   // threads
  std::optional<Error> failure_;
};

}  // namespace godwit::address_space
