// Names in a directory that is held open, so that nobody can put another directory in its way meanwhile: mkdirat(2),
// mkfifoat(2), symlinkat(2), unlinkat(2), renameat2(2), fstatat(2) and openat2(2). No name is followed when it is a
// link.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// An absolute path with no symbolic link anywhere in it. Errors: gone; conflict when a link is in the way.
Result<UniqueFd> open_without_links(const std::string& path, int flags);
// Never leads out of `directory`, whatever `path` says, and over no link. `path` is relative.
Result<UniqueFd> open_beneath(int directory, const std::string& path, int flags, unsigned mode = 0);

// Errors of all: gone when there is no such entry, conflict when the name is taken.
Result<struct stat> status_of_entry(int directory, const std::string& name);
Result<void> make_directory_in(int directory, const std::string& name, unsigned mode);
Result<void> make_fifo_in(int directory, const std::string& name, unsigned mode);
Result<void> make_link_in(int directory, const std::string& name, const std::string& target);
// A file, or an empty directory.
Result<void> remove_entry(int directory, const std::string& name);

struct Entry {
  int directory;
  const std::string& name;
};
// `to` must not exist yet.
Result<void> rename_to_new(Entry from, Entry to);
// Both exist; afterwards each has the other's name. Atomic.
Result<void> exchange(Entry one, Entry other);
// Owner of what the descriptor shows; not for O_PATH.
Result<void> set_owner(int fd, uid_t uid, gid_t gid);
// Whether this process's effective user may: R_OK, W_OK, X_OK of access(2). Follows links.
bool may_access(const std::string& path, int rights);

}  // namespace godwit::sys
