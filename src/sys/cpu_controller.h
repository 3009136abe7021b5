// Which cgroup hierarchy limits processor time on this node: version 2 where it has the cpu controller, else version 1.
// Source: Linux Documentation/admin-guide/cgroup-v2.rst "CPU", Documentation/scheduler/sched-bwc.rst.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::sys {

struct CpuController {
  int version = 0;        // 1 or 2
  std::string mount;      // where the hierarchy is mounted
  std::string directory;  // version 1: the cgroup that we are in
};

// Errors: unsupported when neither has it.
Result<CpuController> find_cpu_controller();
// The same from /proc/self/mountinfo and /proc/self/cgroup. `of_version2`: cgroup.controllers at the cgroup2 mount.
Result<CpuController> find_cpu_controller(std::string_view mountinfo, std::string_view own_cgroups,
                                          std::string_view of_version2);

}  // namespace godwit::sys
