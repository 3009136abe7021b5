// Turns a failed system call into an Error. Only src/sys includes this header: nowhere else is errno read.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::sys {

// The kind of failure an errno value stands for.
ErrorKind kind_of(int errno_value);

// The error of the system call `call` that just failed on this thread.
inline Error last_error(std::string_view call, std::string context = {}) {
  int value = errno;
  return Error{kind_of(value), value, std::string(call), std::move(context)};
}

// `value` unless it is negative; then the error of `call`.
template <class Int>
Result<Int> checked(Int value, std::string_view call) {
  if (value < 0) return last_error(call);
  return value;
}

inline Result<void> checked_void(int value, std::string_view call) {
  if (value < 0) return last_error(call);
  return {};
}

}  // namespace godwit::sys
