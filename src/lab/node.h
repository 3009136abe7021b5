// A node of a lab as a process: pid 1 of its namespaces, found again by its number and start time, and the way in.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "lab/lab_cgroup.h"
#include "lab/record.h"

namespace godwit::lab {

// Starts pid 1 of node `node`, with its root built, and returns its number on the machine. It is written down as well.
Result<pid_t> start_node(const Record& record, const LabCgroup& cgroup, uint32_t node);
// Starts the process that keeps the bridge's network namespace.
Result<pid_t> start_bridge(const Record& record, const LabCgroup& cgroup);

// The node's pid 1 if it runs. Errors: gone.
Result<pid_t> find_node(const Record& record, uint32_t node);

// Runs `task`, which ends by becoming another program, inside the node: in its cgroup and all its namespaces. The child
// is the caller's. Requires: one thread.
Result<pid_t> start_inside(const LabCgroup& cgroup, uint32_t node, pid_t init, const std::function<Error()>& task);

// A program of godwit: in the directory, or in ../libexec/godwit from there. Errors: gone.
Result<std::string> find_program(const std::string& directory, const std::string& name);
// The directory of the running program.
Result<std::string> own_directory();

}  // namespace godwit::lab
