// clone3(2) for a child process in new namespaces and another cgroup.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

struct Cloned {
  pid_t pid;       // 0 in the child
  UniqueFd pidfd;  // of the child, in the parent
};
// `flags`: CLONE_NEW*; `cgroup`: a directory of cgroup2 the child begins in. Requires: a single-threaded caller.
Result<Cloned> clone_process(uint64_t flags, int cgroup);

}  // namespace godwit::sys
