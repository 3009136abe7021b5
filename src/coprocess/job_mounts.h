// What a job sees of the machine, set up by its pid 1 in new namespaces: the node's files, and proc, terminals, message
// queues and shared memory of its own. Source: mount_namespaces(7), proc(5), pts(4).
#pragma once

#include "base/result.h"

namespace godwit::coprocess {

// Requires: new mount, pid and ipc namespaces.
Result<void> make_job_mounts();
Result<void> bring_loopback_up();

}  // namespace godwit::coprocess
