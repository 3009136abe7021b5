// Threads beside the one that visits namespaces: setns(2) into a mount namespace is refused while threads share their
// root and working directory, so such a thread takes a copy of its own first.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "base/result.h"

namespace godwit::sys {

// Returns when the thread shares nothing that is in the way. Then `body` runs in it.
Result<std::thread> start_own_thread(std::function<void()> body);

// One that is made ahead and waits: making it takes half a millisecond, until the kernel has a processor for it.
class ReadyThread {
 public:
  ReadyThread() = default;
  // The thread runs `at_start` now, and `body` from begin() on.
  static Result<ReadyThread> make(std::function<void()> at_start, std::function<void()> body);
  ~ReadyThread() { join(); }
  ReadyThread(ReadyThread&&) = default;
  ReadyThread& operator=(ReadyThread&& other) noexcept;

  // Once. Requires: made.
  void begin();
  // Waits for the end of `body`, which never runs if it has not been begun.
  void join();
  bool is_caller() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  enum class Order { wait, begin, end };
  std::shared_ptr<std::atomic<Order>> order_;
  std::thread thread_;
};

}  // namespace godwit::sys
