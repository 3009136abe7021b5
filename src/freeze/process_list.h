// Which processes and threads a logical host has, zombies included: cgroup.procs of its cgroup and the `children` files
// of /proc. Reads only. What a running program does meanwhile may be missed; when it is frozen the answer is exact.
// Source: cgroups(7), proc_pid_task_tid_children(5), proc_pid_stat(5).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace godwit::freeze {

struct ListedProcess {
  pid_t host_pid = 0;    // in our own pid namespace
  pid_t pid = 0;         // in the job's
  pid_t parent_pid = 0;  // in the job's; 1: child of godwit-init
  bool zombie = false;
  std::vector<pid_t> host_threads;  // the main thread first; empty for a zombie
};

// Parents before children. `init_host_pid`: godwit-init of the logical host.
Result<std::vector<ListedProcess>> list_processes(pid_t init_host_pid);
// The threads of one process, main thread first.
Result<std::vector<pid_t>> list_threads(pid_t host_pid);

// The threads of a cgroup alone, in order, but for those that are ending.
Result<std::vector<pid_t>> list_threads_of_cgroup(const std::string& cgroup);

// The children of all threads of a process, zombies included; none when it has ended.
Result<std::vector<pid_t>> list_children(pid_t host_pid);
// The number of a thread inside its own (innermost) pid namespace.
Result<pid_t> inner_tid(pid_t host_pid, pid_t host_tid);

}  // namespace godwit::freeze
