// A file replaced as a whole: written beside its place, synced, then renamed over it, so that a reader or a crash sees
// the old content or the new one and nothing between. Source: open(2), fsync(2), rename(2).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::sys {

// Ensures: on success the content and the name are on disk, with just these permission bits. On failure the old file is
// untouched and nothing is left beside it. Blocks for the disk.
Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode);

}  // namespace godwit::sys
