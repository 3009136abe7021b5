#include "node/event_loop.h"

#include <poll.h>

#include <memory>

#include "sys/urgency.h"

namespace godwit::node {

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  return std::unique_ptr<EventLoop>(new EventLoop(TRY(sys::WakeUp::make())));
}

void EventLoop::post(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
  }
  wake_up_.set();
}

void EventLoop::watch(int fd, std::function<void()> readable) { watched_[fd] = std::move(readable); }

void EventLoop::forget(int fd) { watched_.erase(fd); }

void EventLoop::after(std::chrono::milliseconds delay, std::function<void()> work) {
  timers_.emplace(std::chrono::steady_clock::now() + delay, std::move(work));
}

void EventLoop::stop() {
  post([this] { stopping_ = true; });
}

int EventLoop::next_timeout_ms() const {
  if (timers_.empty()) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

void EventLoop::run_posted() {
  wake_up_.clear();
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (auto& each : work) each();
}

void EventLoop::run_due() {
  while (!timers_.empty() && timers_.begin()->first <= std::chrono::steady_clock::now()) {
    auto work = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    work();
  }
}

void EventLoop::run() {
  sys::Urgency urgency = sys::Urgency::begin();  // frozen programs wait for it, and it never blocks
  while (!stopping_) {
    std::vector<pollfd> polled{{wake_up_.fd(), POLLIN, 0}};
    for (auto& [fd, callback] : watched_) polled.push_back({fd, POLLIN, 0});
    if (::poll(polled.data(), polled.size(), next_timeout_ms()) > 0) {
      for (const pollfd& one : polled) {
        auto watched = watched_.find(one.fd);
        if (one.revents == 0 || watched == watched_.end()) continue;
        auto callback = watched->second;  // it may forget itself
        callback();
      }
    }
    run_posted();
    run_due();
  }
}

}  // namespace godwit::node
