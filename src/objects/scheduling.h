// How a thread is scheduled: policy, nice, priority, processors, I/O priority. Captured and restored from outside.
// A failure of restore leaves the thread with its creator's scheduling.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "godwit/image.pb.h"
#include "objects/credentials.h"

namespace godwit::objects {

// `affinity` stays empty for a thread that may use every processor that we may use ourselves.
Result<image::Scheduling> capture_scheduling(pid_t host_tid);

// An owner other than root may have what needs no privilege: no real-time policy, no negative nice, no real-time I/O
// class.
Result<void> check_scheduling(const image::Scheduling& scheduling, const Owner& owner);

// All but the processors. Requires: check_scheduling() agreed.
Result<void> restore_scheduling(pid_t host_tid, const image::Scheduling& scheduling);
// The processors, out of the `possible` of this node (a set as of sys::get_affinity()); all of them when none is left.
Result<void> restore_affinity(pid_t host_tid, const image::Scheduling& scheduling,
                              const std::vector<std::byte>& possible);

}  // namespace godwit::objects
