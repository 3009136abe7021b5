// Threads for what may block: calls to other nodes, the directory. They own no state; results go back to the loop by
// post().
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace godwit::node {

class Background {
 public:
  enum class For { users, frozen_programs };  // the latter run before everything ordinary
  explicit Background(size_t threads, For whom = For::users);
  ~Background();
  void run(std::function<void()> work);
  // Returns when what was queued before has been done. Requires a single thread, and not from it.
  void wait();

 private:
  void serve(For whom);
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;  // under mutex_
  bool stopping_ = false;                    // under mutex_
  std::vector<std::thread> threads_;
};

}  // namespace godwit::node
