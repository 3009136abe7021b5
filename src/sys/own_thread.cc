#include "sys/own_thread.h"

#include <sched.h>

#include <future>
#include <utility>

#include "sys/namespaces.h"

namespace godwit::sys {

Result<std::thread> start_own_thread(std::function<void()> body) {
  auto begun = std::make_shared<std::promise<Result<void>>>();
  auto outcome = begun->get_future();
  std::thread thread([begun, body = std::move(body)] {
    auto unshared = unshare_namespaces(CLONE_FS);
    bool ready = unshared.has_value();
    begun->set_value(std::move(unshared));
    if (ready) body();
  });
  auto ready = outcome.get();
  if (ready) return thread;
  thread.join();
  return std::unexpected(std::move(ready.error()));
}

Result<ReadyThread> ReadyThread::make(std::function<void()> at_start, std::function<void()> body) {
  ReadyThread made;
  made.order_ = std::make_shared<std::atomic<Order>>(Order::wait);
  made.thread_ = TRY(start_own_thread([order = made.order_, at_start = std::move(at_start), body = std::move(body)] {
    at_start();
    order->wait(Order::wait);
    if (order->load() == Order::begin) body();
  }));
  return made;
}

ReadyThread& ReadyThread::operator=(ReadyThread&& other) noexcept {
  join();
  order_ = std::move(other.order_);
  thread_ = std::move(other.thread_);
  return *this;
}

void ReadyThread::begin() {
  order_->store(Order::begin);
  order_->notify_one();
}

void ReadyThread::join() {
  if (!thread_.joinable()) return;
  Order still = Order::wait;
  if (order_->compare_exchange_strong(still, Order::end)) order_->notify_one();
  thread_.join();
}

}  // namespace godwit::sys
