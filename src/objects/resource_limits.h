// Resource limits of a process: read from /proc/PID/limits, set from outside with prlimit(2).
// A failure of restore leaves some limits set in a process that has not run yet.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "godwit/image.pb.h"
#include "objects/credentials.h"

namespace godwit::objects {

Result<void> capture_limits(pid_t host_pid, image::Process& process);

// Sets those that differ from `present`, which the process has now. A hard limit above the one that the new process has
// now is granted to a root owner as far as we may grant it; for any other owner it stays at what the process has now.
Result<void> restore_limits(pid_t host_pid, const image::Process& process, const image::Process& present,
                            const Owner& owner);

}  // namespace godwit::objects
