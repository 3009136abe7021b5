// Crew: threads that wait to share in a task of many parts, for moments in which there is no time to start any.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace godwit {

class Crew {
 public:
  // `at_start` is run by each helper before it waits. Between two parts helpers let others of the same priority have
  // the processor: whoever called them may be on it. Fewer helpers than asked for are no error.
  explicit Crew(size_t helpers, const std::function<void()>& at_start = {});
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Calls task(0) to task(count - 1), each once, in the caller and in whichever helpers wake up in time. Returns when
  // all have returned. The task must not throw. Not to be called by two threads at once.
  void share(size_t count, std::function<void(size_t)> task);
  // The same in two steps: the helpers begin, and the caller does what is left when it has done something else. There
  // may be one task at a time; without one finish() does nothing.
  void begin(size_t count, std::function<void(size_t)> task);
  void finish();

 private:
  void help();
  void work(const std::function<void(size_t)>& task, size_t count, bool gives_way);

  std::mutex mutex_;
  std::condition_variable called_;
  std::function<void(size_t)> task_;  // while there is one
  size_t count_ = 0;
  bool over_ = false;
  std::atomic<size_t> next_ = 0;
  std::atomic<size_t> helping_ = 0;
  std::vector<std::thread> helpers_;
};

}  // namespace godwit
