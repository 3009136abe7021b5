// Brings a user's input to a console, wherever its job is and goes: every byte once, in order.
//
// godwit-init acknowledges what the program's side has taken (input_taken); the rest is kept here and sent again to
// where the job is next. One thread of its own; add() and the others are for another one. Included by rpc files only.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "node/daemon.h"
#include "sys/wake_up.h"

namespace godwit::node {

class ConsoleInput {
 public:
  struct Options {
    std::string job;
    uint32_t console = 0;
    bool only_here = false;                               // for another daemon, which looks elsewhere itself
    std::function<void(uint64_t bytes, bool end)> taken;  // may be empty
    std::function<void(bool ended)> over;                 // no more can be delivered, here or at all; may be empty
  };
  static Result<std::unique_ptr<ConsoleInput>> create(Daemon& daemon, Caller caller, Options options);
  // What has been added is still handed to godwit-init if it is there.
  ~ConsoleInput();

  // What is added from now on is not wanted.
  void stop();
  // Waits while much is on its way.
  void add(const api::AttachInput& input);

 private:
  ConsoleInput(Daemon& daemon, Caller caller, Options options, sys::WakeUp wake_up);
  enum class Next { look_again, stopped, ended };
  void run();
  Result<Next> deliver_here(const std::string& id);
  Result<Next> deliver_elsewhere(const Located& located);
  // What is to be sent behind the first `sent` bytes.
  struct Batch {
    std::string bytes;
    bool end = false;
    std::optional<api::AttachInput::WindowSize> window;
    int32_t signal = 0;
    bool stopping = false;
  };
  Batch next_batch(size_t sent, bool end_sent);
  void taken(uint64_t bytes, bool end);
  void window_passed_on();
  bool stopping();
  void wait_for_news(int other_fd);
  bool ended_here(const std::string& id);

  Daemon& daemon_;
  Caller caller_;
  Options options_;
  sys::WakeUp wake_up_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::string pending_;                                 // under mutex_: not yet taken by the program's side
  bool end_ = false;                                    // under mutex_
  std::optional<api::AttachInput::WindowSize> window_;  // under mutex_
  int32_t signal_ = 0;                                  // under mutex_
  bool stopping_ = false, over_ = false;                // under mutex_
  std::thread thread_;
};

}  // namespace godwit::node
