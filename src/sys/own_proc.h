// This process's own directory of /proc, from any mount namespace.
//
// A worker that has entered the mount namespace of a logical host finds a /proc there that does not know it: its pid is
// of another pid namespace, and /proc/self leads nowhere. The descriptor is opened once and kept for the process's
// life; where no /proc shows us, a detached instance of our own pid namespace serves. Source: proc(5), fsopen(2),
// pid_namespaces(7).
#pragma once

#include "base/result.h"

namespace godwit::sys {

// A directory for openat(2) and its like: "fd/3", "map_files/...". It stays open; don't close it.
// Errors: unsupported or denied, when /proc does not show this process and we may not mount one. Not for several
// threads.
Result<int> own_proc();

}  // namespace godwit::sys
