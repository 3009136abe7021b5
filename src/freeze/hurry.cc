#include "freeze/hurry.h"

#include <sched.h>
#include <sys/resource.h>

#include <cerrno>
#include <charconv>

#include "sys/scheduling.h"
#include "sys/text_file.h"

namespace godwit::freeze {

namespace {

constexpr uint64_t kResetOnFork = 1;  // SCHED_FLAG_RESET_ON_FORK, linux/sched.h
constexpr uint32_t kPriority = 1;

// Together they are our mark: hardly any program asks for just this.
bool is_hurried(const sys::SchedulingAttributes& attributes) {
  return attributes.policy == SCHED_FIFO && attributes.priority == kPriority && attributes.flags == kResetOnFork;
}

void put_back(pid_t tid) {
  auto now = sys::get_scheduling(tid);
  if (!now || !is_hurried(*now)) return;  // it has ended, or the program itself chose another
  errno = 0;
  int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(tid));
  if (nice == -1 && errno != 0) return;
  sys::SchedulingAttributes ordinary;
  ordinary.policy = SCHED_OTHER;
  ordinary.nice = nice;
  (void)sys::set_scheduling(tid, ordinary);  // fails only when it has ended
}

}  // namespace

Hurry Hurry::along(pid_t host_tid) {
  auto before = sys::get_scheduling(host_tid);
  if (!before || before->policy != SCHED_OTHER || before->flags != 0) return Hurry(0);
  sys::SchedulingAttributes hurried;
  hurried.policy = SCHED_FIFO;
  hurried.priority = kPriority;
  hurried.flags = kResetOnFork;
  return Hurry(sys::set_scheduling(host_tid, hurried) ? host_tid : 0);
}

Hurry::~Hurry() {
  if (tid_ != 0) put_back(tid_);
}

void end_hurry_in(const std::string& cgroup) {
  auto text = sys::read_text(cgroup + "/cgroup.threads");
  if (!text) return;
  const char* at = text->data();
  const char* end = at + text->size();
  while (at < end) {
    pid_t tid = 0;
    auto [rest, failed] = std::from_chars(at, end, tid);
    if (failed != std::errc()) return;
    put_back(tid);
    at = rest + 1;
  }
}

}  // namespace godwit::freeze
