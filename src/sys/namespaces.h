// Namespaces of the calling thread and its children: unshare(2), setns(2), pidfd_open(2), sethostname(2).
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// New namespaces of the kinds in `flags` (CLONE_NEW*). A new pid namespace is for children made from now on.
Result<void> unshare_namespaces(int flags);
// Enters the namespaces of the kinds in `flags`, all or none: those of the process behind a pidfd, or the one behind a
// namespace file. A pid namespace is for children made from now on. Since Linux 5.8 for pidfds.
Result<void> join_namespaces(int fd, int flags);
// A namespace of a process, e.g. "pid", "net": /proc/PID/ns/KIND. `pid` 0: of this process.
Result<UniqueFd> open_namespace(pid_t pid, const std::string& kind);
Result<UniqueFd> open_pidfd(pid_t pid, int flags = 0);
Result<void> set_hostname(const std::string& name);

}  // namespace godwit::sys
