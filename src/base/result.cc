#include "base/result.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace godwit {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::gone: return "gone";
    case ErrorKind::retry: return "retry";
    case ErrorKind::peer_lost: return "peer_lost";
    case ErrorKind::unsupported: return "unsupported";
    case ErrorKind::denied: return "denied";
    case ErrorKind::exhausted: return "exhausted";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::corrupt: return "corrupt";
    case ErrorKind::failed: return "failed";
    case ErrorKind::bug: return "bug";
  }
  return "unknown";
}

std::string Error::message() const {
  std::string text = context;
  auto append = [&text](std::string_view part) {
    if (part.empty()) return;
    if (!text.empty()) text += ": ";
    text += part;
  };
  append(call);
  if (errno_value != 0) append(strerrordesc_np(errno_value) ? strerrordesc_np(errno_value) : "unknown error");
  if (text.empty()) text = to_string(kind);
  return text;
}

Error Error::within(std::string_view what) && {
  context = context.empty() ? std::string(what) : std::string(what) + ": " + context;
  return std::move(*this);
}

namespace detail {
void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}
}  // namespace detail

}  // namespace godwit
