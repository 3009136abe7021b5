#include "node/background.h"

#include <future>
#include <optional>

#include "sys/urgency.h"

namespace godwit::node {

Background::Background(size_t threads, For whom) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this, whom] { serve(whom); });
}

Background::~Background() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Background::run(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void Background::wait() {
  std::promise<void> done;
  run([&done] { done.set_value(); });
  done.get_future().wait();
}

void Background::serve(For whom) {
  std::optional<sys::Urgency> urgency;
  if (whom == For::frozen_programs) urgency.emplace(sys::Urgency::begin());
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace godwit::node
