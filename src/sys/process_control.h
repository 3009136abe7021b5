// prctl(2) requests newer than the C library's headers, and whether this kernel has them.
#pragma once

#include <cstdint>

namespace godwit::sys {

// timer_create takes the number of the new timer from where it will put it. Since Linux 6.16
// (kernel/time/posix-timers.c).
inline constexpr uint64_t kTimerCreateRestoreIds = 77;
inline constexpr uint64_t kTimerIdsOff = 0, kTimerIdsOn = 1, kTimerIdsGet = 2;

bool can_restore_timer_ids();

}  // namespace godwit::sys
