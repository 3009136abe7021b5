// SlowedJob: a job's processes held to a share of the processors while the scope lasts, by the cgroup cpu controller:
// version 2 in the job's own cgroup, version 1 in a cgroup made for it beside the one it is in. Source: Linux
// Documentation/scheduler/sched-bwc.rst.
//
// The scope's end, or let_go(), lets them run as before. A process that is killed leaves the job slowed: whoever looks
// after it calls end_slowing().
#pragma once

#include <string>

#include "base/result.h"
#include "sys/cpu_controller.h"

namespace godwit::freeze {

class SlowedJob {
 public:
  // `cgroup`: of the job (JobPlace.cgroup). Nothing is slowed yet. Errors: unsupported without a cpu controller.
  static Result<SlowedJob> prepare(const std::string& cgroup);
  // The same with a given controller.
  static Result<SlowedJob> prepare(const sys::CpuController& controller, const std::string& cgroup);
  ~SlowedJob();
  SlowedJob(SlowedJob&& other) noexcept;
  SlowedJob& operator=(SlowedJob&&) = delete;

  // All processes together get as much time as `processors` (0.01 and more) would give them.
  Result<void> hold_to(double processors);
  // Full speed, at once: a single write.
  Result<void> let_go();

 private:
  SlowedJob(sys::CpuController controller, std::string cgroup, std::string directory)
      : controller_(std::move(controller)), cgroup_(std::move(cgroup)), directory_(std::move(directory)) {}
  friend void end_slowing(const std::string& cgroup);
  Result<void> gather() const;
  void undo() const;

  sys::CpuController controller_;
  std::string cgroup_;
  std::string directory_;  // in which the limit is; empty: moved from
  bool held_ = false;
};

// Undoes what a killed process may have left. Does nothing, quickly, for a job that is not slowed.
void end_slowing(const std::string& cgroup);

}  // namespace godwit::freeze
