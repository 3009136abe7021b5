#include "base/crew.h"

#include <system_error>

namespace godwit {

Crew::Crew(size_t helpers, const std::function<void()>& at_start) {
  try {
    for (size_t i = 0; i < helpers; ++i) {
      helpers_.emplace_back([this, at_start] {
        if (at_start) at_start();
        help();
      });
    }
  } catch (const std::system_error&) {
    // no more threads: the others do it
  }
}

Crew::~Crew() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  called_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Crew::work(const std::function<void(size_t)>& task, size_t count) {
  for (size_t i = next_.fetch_add(1); i < count; i = next_.fetch_add(1)) task(i);
}

void Crew::help() {
  std::unique_lock lock(mutex_);
  for (;;) {
    called_.wait(lock, [this] { return over_ || (task_ != nullptr && next_ < count_); });
    if (over_) return;
    const std::function<void(size_t)>& task = *task_;
    size_t count = count_;
    ++helping_;
    lock.unlock();
    work(task, count);
    lock.lock();
    --helping_;
  }
}

void Crew::share(size_t count, const std::function<void(size_t)>& task) {
  {
    std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    next_ = 0;
  }
  called_.notify_all();
  work(task, count);
  std::unique_lock lock(mutex_);
  task_ = nullptr;  // nobody joins in any more
  while (helping_ > 0) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
}

}  // namespace godwit
