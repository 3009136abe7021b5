// A file replaced as a whole: written beside its place, synced, then renamed over it, so that a reader or a crash sees
// the old content or the new one and nothing between. Source: open(2), fsync(2), rename(2).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Ensures: on success the content and the name are on disk, with just these permission bits. On failure the old file is
// untouched and nothing is left beside it. Blocks for the disk.
Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode);

// Large files are written bit by bit beside their place, under their name with this ending.
inline constexpr const char* kUnfinished = ".unfinished";
// A new one, for writing, its owner's alone (0600), in a directory that is made for such files (0700). What an earlier
// attempt left there goes.
Result<UniqueFd> begin_file(const std::string& path);
// It gets its name. Ensures: on success content and name are on disk. Blocks for the disk.
Result<void> name_durably(int fd, const std::string& path);

}  // namespace godwit::sys
