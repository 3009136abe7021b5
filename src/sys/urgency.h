// Urgency: threads that run before every ordinary one of the machine, for the moments in which a program is frozen.
//
// Round robin among themselves, the lowest real-time priority; where the machine gives no real-time share to our
// cgroup (CONFIG_RT_GROUP_SCHED), the best nice level instead; where we may not have that either nothing changes, and
// everything takes a little longer. Source: sched(7), sched_setattr(2).
#pragma once

#include <sys/types.h>

#include "sys/scheduling.h"

namespace godwit::sys {

// Where the caller runs just now.
int processor_here();

// A thread that will get another scheduling before it runs anything of its own. It stays on `processor`: when a tracer
// is on the same one, to and fro costs two context switches; across processors each way is an interrupt and a wake-up
// from idleness, in a virtual machine some 50 us.
void make_urgent(pid_t tid, int processor);

// The calling thread, for good, on any processor.
void stay_urgent();

// The calling thread, or another, while the scope lasts. Threads that it starts meanwhile are ordinary.
class Urgency {
 public:
  static Urgency begin();
  static Urgency begin_on(int processor);
  // On any other, where there is one.
  static Urgency begin_beside(int processor);
  // Another thread, on any of its processors. Nothing happens when it is gone.
  static Urgency begin_of(pid_t tid);
  ~Urgency();
  Urgency(Urgency&& other) noexcept;
  Urgency& operator=(Urgency&&) = delete;

 private:
  struct Before {
    SchedulingAttributes scheduling;
    std::vector<std::byte> processors;
  };
  Urgency() = default;
  Urgency(pid_t tid, Before before) : tid_(tid), before_(std::move(before)) {}
  pid_t tid_ = 0;  // 0: nothing to undo
  Before before_;
};

}  // namespace godwit::sys
