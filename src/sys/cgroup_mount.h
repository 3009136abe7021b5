// Where cgroup2 is mounted: mountinfo(5), cgroups(7). Some machines have it alone, some beside version 1 controllers.
#pragma once

#include <string>

#include "base/result.h"

namespace godwit::sys {

// Errors: unsupported when it is not mounted.
Result<std::string> cgroup2_mount();

}  // namespace godwit::sys
