// A flag that another thread can set and that can be polled: an eventfd. Source: eventfd(2).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class WakeUp {
 public:
  static Result<WakeUp> make();
  int fd() const { return fd_.get(); }  // readable when set
  void set();                           // from any thread
  void clear();

 private:
  explicit WakeUp(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace godwit::sys
