// The daemon of a lab node: started as a child of the node's pid 1, found again, asked whether it answers.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>

#include "base/result.h"
#include "lab/lab_cgroup.h"
#include "lab/record.h"

namespace godwit::lab {

std::string daemon_socket(const std::string& lab, uint32_t node);
std::string daemon_log(const std::string& lab, uint32_t node);

Result<void> launch_daemon(const Record& record, const LabCgroup& cgroup, uint32_t node);
// Its number on the machine; 0 when it does not run.
pid_t find_daemon(const LabCgroup& cgroup, uint32_t node);
// Whether its socket can be connected to.
bool accepts_connections(const std::string& socket);

// Waits until the daemon answers. Errors: gone when it ended (with its last words), exhausted after `patience`.
Result<void> wait_for_daemon(const Record& record, const LabCgroup& cgroup, uint32_t node,
                             const std::function<bool(const std::string&)>& answers,
                             std::chrono::steady_clock::time_point deadline);

}  // namespace godwit::lab
