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
    count_ = 0;
    next_ = SIZE_MAX / 2;  // what is not begun yet is left
  }
  called_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Crew::work(const std::function<void(size_t)>& task, size_t count, bool gives_way) {
  for (size_t i = next_.fetch_add(1); i < count; i = next_.fetch_add(1)) {
    task(i);
    if (gives_way) std::this_thread::yield();
  }
}

void Crew::help() {
  std::unique_lock lock(mutex_);
  for (;;) {
    called_.wait(lock, [this] { return over_ || (task_ && next_ < count_); });
    if (over_) return;
    size_t count = count_;
    ++helping_;
    lock.unlock();
    work(task_, count, true);  // which stays as long as somebody helps
    lock.lock();
    --helping_;
  }
}

void Crew::begin(size_t count, std::function<void(size_t)> task) {
  {
    std::lock_guard lock(mutex_);
    task_ = std::move(task);
    count_ = count;
    next_ = 0;
  }
  called_.notify_all();
}

void Crew::finish() {
  if (!task_) return;
  work(task_, count_, false);
  std::unique_lock lock(mutex_);
  count_ = 0;  // nobody joins in any more
  while (helping_ > 0) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  task_ = nullptr;
}

void Crew::share(size_t count, std::function<void(size_t)> task) {
  begin(count, std::move(task));
  finish();
}

}  // namespace godwit
