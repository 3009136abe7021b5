#include "objects/scheduling.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "sys/scheduling.h"

namespace godwit::objects {

namespace {

constexpr uint32_t kIoClassShift = 13;  // linux/ioprio.h
constexpr uint32_t kIoClassRealTime = 1;
constexpr size_t kMostAffinityBytes = 1024;
constexpr uint64_t kKeptFlags = 0x01;  // SCHED_FLAG_RESET_ON_FORK

bool empty(const std::vector<std::byte>& set) {
  return std::all_of(set.begin(), set.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

Result<image::Scheduling> capture_scheduling(pid_t host_tid) {
  auto attributes = TRY(sys::get_scheduling(host_tid));
  image::Scheduling image;
  image.set_policy(attributes.policy);
  image.set_nice(attributes.nice);
  image.set_priority(attributes.priority);
  image.set_flags(attributes.flags & kKeptFlags);
  if (attributes.policy == SCHED_DEADLINE) {
    image.set_runtime_ns(attributes.runtime_ns);
    image.set_deadline_ns(attributes.deadline_ns);
    image.set_period_ns(attributes.period_ns);
  }
  uint32_t io_priority = TRY(sys::get_io_priority(host_tid));
  if (io_priority >> kIoClassShift) image.set_io_priority(io_priority);
  auto processors = TRY(sys::get_affinity(host_tid));
  if (processors != TRY(sys::get_affinity(0))) image.set_affinity(processors.data(), processors.size());
  return image;
}

Result<void> check_scheduling(const image::Scheduling& scheduling, const Owner& owner) {
  if (scheduling.affinity().size() > kMostAffinityBytes) return error(ErrorKind::corrupt, "size of a processor set");
  if (owner.uid == 0) return {};
  bool ordinary =
      scheduling.policy() == SCHED_OTHER || scheduling.policy() == SCHED_BATCH || scheduling.policy() == SCHED_IDLE;
  if (!ordinary) return error(ErrorKind::denied, "a thread has a real-time policy, its job's owner may not set one");
  if (scheduling.nice() < 0)
    return error(ErrorKind::denied, "a thread has a raised priority, its job's owner may not set one");
  if (scheduling.io_priority() >> kIoClassShift == kIoClassRealTime) {
    return error(ErrorKind::denied, "a thread has a real-time I/O class, its job's owner may not set one");
  }
  return {};
}

Result<void> restore_scheduling(pid_t host_tid, const image::Scheduling& scheduling) {
  sys::SchedulingAttributes wanted;
  wanted.policy = scheduling.policy();
  wanted.nice = scheduling.nice();
  wanted.priority = scheduling.priority();
  wanted.flags = scheduling.flags() & kKeptFlags;
  wanted.runtime_ns = scheduling.runtime_ns();
  wanted.deadline_ns = scheduling.deadline_ns();
  wanted.period_ns = scheduling.period_ns();
  TRY(sys::set_scheduling(host_tid, wanted));
  if (scheduling.io_priority() != 0) TRY(sys::set_io_priority(host_tid, scheduling.io_priority()));
  return {};
}

Result<void> restore_affinity(pid_t host_tid, const image::Scheduling& scheduling,
                              const std::vector<std::byte>& possible) {
  if (scheduling.affinity().empty()) return sys::set_affinity(host_tid, possible);
  std::vector<std::byte> processors(possible.size());
  for (size_t i = 0; i < std::min(possible.size(), scheduling.affinity().size()); ++i) {
    processors[i] = possible[i] & static_cast<std::byte>(scheduling.affinity()[i]);
  }
  return sys::set_affinity(host_tid, empty(processors) ? possible : processors);
}

}  // namespace godwit::objects
