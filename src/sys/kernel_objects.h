// Small kernel objects behind descriptors: eventfd(2), epoll_create(2), timerfd_create(2), signalfd(2),
// inotify(7). Always close-on-exec.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// `flags`: O_NONBLOCK or 0.
Result<UniqueFd> make_eventfd(uint64_t count, bool semaphore, int flags);
Result<UniqueFd> make_epoll();
// `flags`: O_NONBLOCK or 0.
Result<UniqueFd> make_inotify(int flags);
// Watches what `fd` shows, under the number `watch`. Requires: it is free, and no later call asks for a lower one.
Result<void> add_inotify_watch(int inotify, int32_t watch, int fd, uint32_t mask);
Result<UniqueFd> make_signalfd(uint64_t mask, int flags);
struct TimerSetting {
  int32_t clock;
  uint64_t ticks;     // expirations not yet read
  uint64_t value_ns;  // until the next one; 0: not running
  uint64_t interval_ns;
};
Result<UniqueFd> make_timerfd(const TimerSetting& setting, int flags);

}  // namespace godwit::sys
