// Advisory locks: on a directory, held while its descriptor is open; and changes of those that a description has.
// Source: flock(2), fcntl_locking(2).
#pragma once

#include <fcntl.h>

#include <chrono>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Locks the directory that is at `path` once the lock is had, also if another took its place meanwhile.
// Errors: retry when somebody else holds it for all of `patience`.
Result<UniqueFd> lock_directory(const std::string& path, std::chrono::milliseconds patience);

// `operation`: LOCK_SH, LOCK_EX or LOCK_UN, with LOCK_NB.
Result<void> change_flock(int fd, int operation);
// F_OFD_SETLK.
Result<void> change_description_lock(int fd, struct flock wanted);

}  // namespace godwit::sys
