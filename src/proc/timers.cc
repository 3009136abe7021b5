#include "proc/timers.h"

#include <signal.h>

#include <charconv>

namespace godwit::proc {

namespace {

// Takes `prefix` off the front of `text`.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

template <class Int>
bool take_number(std::string_view& text, Int& into, int base = 10) {
  auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), into, base);
  if (failed != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(rest - text.data()));
  return true;
}

bool take_notify(std::string_view& text, TimerEntry& timer) {
  if (take(text, "signal/")) {
    timer.notify = SIGEV_SIGNAL;
  } else if (take(text, "thread/")) {
    timer.notify = SIGEV_THREAD;
  } else if (take(text, "none/")) {
    timer.notify = SIGEV_NONE;
  } else {
    return false;
  }
  if (take(text, "tid.")) {
    timer.notify |= SIGEV_THREAD_ID;
  } else if (!take(text, "pid.")) {
    return false;
  }
  return take_number(text, timer.target);
}

}  // namespace

Result<std::vector<TimerEntry>> parse_timers(std::string_view text) {
  std::vector<TimerEntry> timers;
  while (!text.empty()) {
    TimerEntry timer;
    bool good = take(text, "ID: ") && take_number(text, timer.id) && take(text, "\nsignal: ") &&
                take_number(text, timer.signal) && take(text, "/") && (take(text, "0x") || true) &&
                take_number(text, timer.value, 16) && take(text, "\nnotify: ") && take_notify(text, timer) &&
                take(text, "\nClockID: ") && take_number(text, timer.clock) && take(text, "\n");
    if (!good) return error(ErrorKind::corrupt, "timers file");
    timers.push_back(timer);
  }
  return timers;
}

}  // namespace godwit::proc
