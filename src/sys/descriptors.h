// Moving descriptors to other numbers: dup2(2), fcntl(2) F_DUPFD_CLOEXEC; and a directory only its owner can enter.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// The same description at the lowest free number from `from` on, close-on-exec.
Result<UniqueFd> duplicate_above(int fd, int from);
// The same description at just this number; whatever was there is closed. It stays open over exec unless asked
// otherwise.
Result<void> duplicate_to(int fd, int number, bool close_on_exec = false);
// Makes the directory, or takes it if it is there; mode 0700.
Result<void> make_private_directory(const std::string& path, uid_t uid, gid_t gid);

// The descriptor table has room for two for each of `descriptions`, and for some others; and the soft limit allows
// as many as the hard one. To enlarge the table of a process of several threads takes an RCU grace period, 10 ms and
// more (fs/file.c, expand_fdtable). As far as the limit goes.
void reserve_descriptors(size_t descriptions);
// Ahead, while there is one thread: the table alone, not the limit, which programs that are started would have.
void grow_descriptor_table(size_t descriptions);

}  // namespace godwit::sys
