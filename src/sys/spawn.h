// Starting a program: posix_spawn(3). No code of ours runs between fork and exec.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace godwit::sys {

// Starts `arguments[0]` (a path) with this process's environment and what is `added` ("NAME=VALUE") to it; `fd` becomes
// descriptor `number` there, every other but the standard streams is close-on-exec by our own rule. Signals are at
// their defaults.
Result<pid_t> spawn_program(const std::vector<std::string>& arguments, const std::vector<std::string>& added, int fd,
                            int number);
// Children that have ended are taken from the kernel, all there are. Returns their pids.
std::vector<pid_t> reap_children();
// Orphans below this process become its children: prctl(2), PR_SET_CHILD_SUBREAPER.
Result<void> adopt_orphans();

}  // namespace godwit::sys
