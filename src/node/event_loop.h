// The daemon's loop: one thread that owns all state. Other threads hand it work; descriptors and timers call it.
// post() and call() are thread-safe; everything else belongs to the loop's own thread. Callbacks must not block.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "sys/wake_up.h"

namespace godwit::node {

class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> create();

  void post(std::function<void()> work);
  // Runs `work` in the loop and returns what it returns. Not from the loop's own thread.
  template <class Work>
  auto call(Work work) -> decltype(work()) {
    std::promise<decltype(work())> done;
    auto result = done.get_future();
    post([&] {
      if constexpr (std::is_void_v<decltype(work())>) {
        work();
        done.set_value();
      } else {
        done.set_value(work());
      }
    });
    return result.get();
  }
  // `readable` is called whenever `fd` has something to read or has ended.
  void watch(int fd, std::function<void()> readable);
  void forget(int fd);
  void after(std::chrono::milliseconds delay, std::function<void()> work);
  void run();
  void stop();

 private:
  explicit EventLoop(sys::WakeUp wake_up) : wake_up_(std::move(wake_up)) {}
  int next_timeout_ms() const;
  void run_posted();
  void run_due();

  sys::WakeUp wake_up_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // under mutex_
  std::map<int, std::function<void()>> watched_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> timers_;
  bool stopping_ = false;
};

}  // namespace godwit::node
