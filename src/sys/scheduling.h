// How a thread is scheduled: sched_setattr(2), sched_setaffinity(2), ioprio_set(2), by thread id from outside.
// Owns nothing.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"

namespace godwit::sys {

struct SchedulingAttributes {  // struct sched_attr, linux/sched/types.h, first version
  uint32_t size = 48;
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

Result<SchedulingAttributes> get_scheduling(pid_t tid);
Result<void> set_scheduling(pid_t tid, const SchedulingAttributes& attributes);
// The calling thread's nice level, and of those it starts later. Best effort: a worse level is no failure.
void set_own_nice(int nice);
// Whoever waits for this processor runs first, then the calling thread again; at once when nobody does.
void give_way();
// Bit n of byte n / 8 stands for processor n.
Result<std::vector<std::byte>> get_affinity(pid_t tid);
Result<void> set_affinity(pid_t tid, const std::vector<std::byte>& processors);
// Class in the bits from 13 up, level below (linux/ioprio.h).
Result<uint32_t> get_io_priority(pid_t tid);
Result<void> set_io_priority(pid_t tid, uint32_t priority);

}  // namespace godwit::sys
