// An advisory lock on a directory, held while its descriptor is open. Source: flock(2).
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Locks the directory that is at `path` once the lock is had, also if another took its place meanwhile.
// Errors: retry when somebody else holds it for all of `patience`.
Result<UniqueFd> lock_directory(const std::string& path, std::chrono::milliseconds patience);

}  // namespace godwit::sys
