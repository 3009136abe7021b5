// From a pid inside a job's pid namespace to the same process in ours: the NSpid line of /proc/PID/status
// (proc_pid_status(5)).
#pragma once

#include <sys/types.h>

#include <map>

#include "base/result.h"

namespace godwit::coprocess {

// The child of `parent_host_pid` whose innermost pid is `pid`.
Result<pid_t> find_child(pid_t parent_host_pid, pid_t pid);
// Every thread of a process: innermost tid -> tid in our namespace.
Result<std::map<pid_t, pid_t>> threads_by_inner_tid(pid_t host_pid);

}  // namespace godwit::coprocess
