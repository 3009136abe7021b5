// Signals as something to poll: blocked for the whole process and read from a signalfd.
//
// Made by `main` before any other thread exists, so that every thread inherits the mask. The destructor puts the former
// mask back. Source: signalfd(2).
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class SignalQueue {
 public:
  static Result<SignalQueue> take(std::initializer_list<int> signals);
  ~SignalQueue();
  SignalQueue(SignalQueue&&) noexcept = default;
  SignalQueue& operator=(SignalQueue&&) = delete;

  int fd() const { return fd_.get(); }  // readable when a signal waits
  // The number of the next signal that waits, if any.
  std::optional<int> next();

 private:
  SignalQueue(UniqueFd fd, const sigset_t& former) : fd_(std::move(fd)), former_(former) {}
  UniqueFd fd_;
  sigset_t former_;
};

}  // namespace godwit::sys
