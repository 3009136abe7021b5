// What a migration tells whoever asked for it: events in order, the last one final. Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "godwit/api.pb.h"

namespace godwit::node {

class MoveStream {
 public:
  void add(api::MoveEvent event) {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    finished_ = event.event_case() != api::MoveEvent::kProgress;
    events_.push_back(std::move(event));
    changed_.notify_all();
  }
  // The next event, waited for; nothing after the last one.
  std::optional<api::MoveEvent> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !events_.empty() || finished_; });
    if (events_.empty()) return std::nullopt;
    api::MoveEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<api::MoveEvent> events_;
  bool finished_ = false;
};

}  // namespace godwit::node
