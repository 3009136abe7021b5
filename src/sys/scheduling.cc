#include "sys/scheduling.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

constexpr int kIoPriorityOfThread = 1;  // IOPRIO_WHO_PROCESS, linux/ioprio.h

std::string of(pid_t tid) { return "thread " + std::to_string(tid); }

Result<long> done(long value, const char* call, pid_t tid) {
  if (value < 0) return last_error(call, of(tid));
  return value;
}

}  // namespace

Result<SchedulingAttributes> get_scheduling(pid_t tid) {
  SchedulingAttributes attributes;
  TRY(done(::syscall(SYS_sched_getattr, tid, &attributes, sizeof attributes, 0), "sched_getattr", tid));
  return attributes;
}

Result<void> set_scheduling(pid_t tid, const SchedulingAttributes& attributes) {
  SchedulingAttributes copy = attributes;
  copy.size = sizeof copy;
  TRY(done(::syscall(SYS_sched_setattr, tid, &copy, 0), "sched_setattr", tid));
  return {};
}

void set_own_nice(int nice) { (void)::setpriority(PRIO_PROCESS, 0, nice); }

void give_way() { ::sched_yield(); }

Result<std::vector<std::byte>> get_affinity(pid_t tid) {
  std::array<std::byte, 1024> buffer;  // 8,192 processors, the most that a kernel is built for
  long bytes = TRY(done(::syscall(SYS_sched_getaffinity, tid, buffer.size(), buffer.data()), "sched_getaffinity", tid));
  return std::vector<std::byte>(buffer.begin(), buffer.begin() + bytes);
}

Result<void> set_affinity(pid_t tid, const std::vector<std::byte>& processors) {
  TRY(done(::syscall(SYS_sched_setaffinity, tid, processors.size(), processors.data()), "sched_setaffinity", tid));
  return {};
}

Result<uint32_t> get_io_priority(pid_t tid) {
  return static_cast<uint32_t>(TRY(done(::syscall(SYS_ioprio_get, kIoPriorityOfThread, tid), "ioprio_get", tid)));
}

Result<void> set_io_priority(pid_t tid, uint32_t priority) {
  TRY(done(::syscall(SYS_ioprio_set, kIoPriorityOfThread, tid, priority), "ioprio_set", tid));
  return {};
}

}  // namespace godwit::sys
