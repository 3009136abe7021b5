// Result<T>: a value or an Error, and TRY to propagate one.
//
// An Error says what the caller can do about it (kind), which system call failed and why (call, errno), and where in
// our own words (context). errno itself is read in src/sys only. Errors are values: they are logged once, where they
// are handled, and turned into one sentence for a user.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace godwit {

// What the caller can do about a failure.
enum class ErrorKind {
  gone,         // the process, file or job does not exist (any more)
  retry,        // a passing condition: the same call may succeed later
  peer_lost,    // the connection to the other side ended
  unsupported,  // this kernel, node or object cannot do it
  denied,       // the user may not, or a constraint forbids it
  exhausted,    // memory, descriptors, disk space or time ran out
  conflict,     // somebody else changed it first (compare-and-swap)
  corrupt,      // bytes from outside that do not make sense
  failed,       // a system call failed and none of the above says more
  bug,          // our own mistake
};

std::string_view to_string(ErrorKind kind);

struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::failed;
  int errno_value = 0;  // 0: no system call was involved
  std::string call;     // the system call's name, or empty
  std::string context;  // what we were doing, outermost first

  // One sentence: "context: call: reason".
  std::string message() const;
  // The same error with `what` in front of its context.
  Error within(std::string_view what) &&;
};

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using Base = std::expected<T, Error>;
  using Base::Base;
  Result(std::unexpected<Error> error) : Base(std::move(error)) {}
  Result(Error error) : Base(std::unexpected<Error>(std::move(error))) {}

  // The same result; a failure gets `what` in front of its context.
  Result within(std::string_view what) && {
    if (*this) return std::move(*this);
    return Result(std::unexpected<Error>(std::move(this->error()).within(what)));
  }
};

template <>
class [[nodiscard]] Result<void> : public std::expected<void, Error> {
 public:
  using Base = std::expected<void, Error>;
  using Base::Base;
  Result(std::unexpected<Error> error) : Base(std::move(error)) {}
  Result(Error error) : Base(std::unexpected<Error>(std::move(error))) {}

  Result within(std::string_view what) && {
    if (*this) return std::move(*this);
    return Result(std::unexpected<Error>(std::move(this->error()).within(what)));
  }
};

// An error of our own finding, with no system call behind it.
inline Error error(ErrorKind kind, std::string context) { return Error{kind, 0, {}, std::move(context)}; }

namespace detail {
template <class T>
decltype(auto) take(Result<T>& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace detail

}  // namespace godwit

// The value of a Result, or return its error from the enclosing function.
#define TRY(...)                                                                          \
  ({                                                                                      \
    auto godwit_try_result = (__VA_ARGS__);                                               \
    if (!godwit_try_result) return std::unexpected(std::move(godwit_try_result.error())); \
    ::godwit::detail::take(godwit_try_result);                                            \
  })

// Holds in release too: our own bug ends this process.
#define CHECK(condition) \
  (static_cast<bool>(condition) ? void() : ::godwit::detail::check_failed(#condition, __FILE__, __LINE__))
