#include "sys/urgency.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace godwit::sys {

namespace {

constexpr uint64_t kResetOnFork = 1;  // SCHED_FLAG_RESET_ON_FORK, linux/sched.h
constexpr int32_t kBestNice = -20;

bool raise(pid_t tid, uint64_t flags) {
  SchedulingAttributes urgent;
  urgent.flags = flags;
  urgent.policy = SCHED_RR;
  urgent.priority = 1;
  if (set_scheduling(tid, urgent)) return true;
  urgent.policy = SCHED_OTHER;
  urgent.priority = 0;
  urgent.nice = kBestNice;
  return set_scheduling(tid, urgent).has_value();
}

std::vector<std::byte> only(int processor) {
  auto number = static_cast<size_t>(processor);
  std::vector<std::byte> set(number / 8 + 1);
  set.back() = std::byte{1} << number % 8;
  return set;
}

}  // namespace

int processor_here() { return std::max(0, ::sched_getcpu()); }

void make_urgent(pid_t tid, int processor) {
  (void)raise(tid, 0);
  (void)set_affinity(tid, only(processor));  // anywhere else it is slower, that is all
}

void stay_urgent() { (void)raise(::gettid(), kResetOnFork); }

Urgency Urgency::begin() { return begin_of(::gettid()); }

Urgency Urgency::begin_of(pid_t tid) {
  auto scheduling = get_scheduling(tid);
  auto processors = get_affinity(tid);
  bool ordinary = scheduling && scheduling->policy != SCHED_RR && scheduling->policy != SCHED_FIFO;
  if (!ordinary || !processors || !raise(tid, kResetOnFork)) return {};
  return {tid, {*scheduling, *processors}};
}

Urgency Urgency::begin_on(int processor) {
  Urgency urgency = begin();
  if (urgency.tid_ != 0) (void)set_affinity(urgency.tid_, only(processor));
  return urgency;
}

Urgency Urgency::begin_beside(int processor) {
  Urgency urgency = begin();
  auto number = static_cast<size_t>(processor);
  std::vector<std::byte> others = urgency.before_.processors;
  if (number / 8 < others.size()) others[number / 8] &= ~(std::byte{1} << number % 8);
  if (urgency.tid_ != 0) (void)set_affinity(urgency.tid_, others);  // refused when there is no other
  return urgency;
}

Urgency::Urgency(Urgency&& other) noexcept : tid_(std::exchange(other.tid_, 0)), before_(std::move(other.before_)) {}

Urgency::~Urgency() {
  if (tid_ == 0) return;
  (void)set_affinity(tid_, before_.processors);  // what is given back is never refused
  (void)set_scheduling(tid_, before_.scheduling);
}

}  // namespace godwit::sys
