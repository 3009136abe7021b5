#include "proc/idle_time.h"

#include <charconv>

namespace godwit::proc {

Result<uint64_t> parse_idle_ticks(std::string_view text) {
  constexpr int kIdle = 3;  // user, nice, system, idle, iowait
  constexpr int kWaiting = 4;
  auto malformed = [] { return error(ErrorKind::corrupt, "/proc/stat does not say how long processors were idle"); };
  if (!text.starts_with("cpu ")) return malformed();
  const char* at = text.data() + 4;
  const char* end = text.data() + text.size();
  uint64_t idle = 0;
  for (int field = 0; field <= kWaiting; ++field) {
    while (at != end && *at == ' ') ++at;
    uint64_t ticks = 0;
    auto [rest, failed] = std::from_chars(at, end, ticks);
    if (failed != std::errc()) return malformed();
    if (field >= kIdle) idle += ticks;
    at = rest;
  }
  return idle;
}

}  // namespace godwit::proc
