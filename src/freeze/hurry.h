// Hurry: a thread that was asked to stop and waits for a processor gets one, while the scope lasts. On a machine with
// more to do than processors a stop otherwise takes as long as a turn of everybody before it: milliseconds, and
// programs are moved away from just such machines.
//
// The thread gets a real-time policy for the moment; it runs nothing of its own before it stops. Its nice level stays
// with it (kernel/sched/syscalls.c, __setscheduler_params), so anybody can put it back: the daemon does so for a worker
// that was killed in that moment. Only threads of the ordinary policy, SCHED_OTHER, are hurried.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

namespace godwit::freeze {

class Hurry {
 public:
  static Hurry along(pid_t host_tid);
  ~Hurry();
  Hurry(Hurry&& other) noexcept : tid_(std::exchange(other.tid_, 0)) {}
  Hurry& operator=(Hurry&&) = delete;

 private:
  explicit Hurry(pid_t tid) : tid_(tid) {}
  pid_t tid_;  // 0: nothing to undo
};

// Puts back what was left hurried in the cgroup with this directory.
void end_hurry_in(const std::string& cgroup);

}  // namespace godwit::freeze
