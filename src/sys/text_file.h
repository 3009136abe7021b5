// Small files read and written whole: /proc, /sys, cgroup attributes. Not for user data.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::sys {

// At most 64 MiB; ErrorKind::exhausted beyond.
Result<std::string> read_text(const std::string& path);
// One write(2) to a file that exists.
Result<void> write_text(const std::string& path, std::string_view text);

}  // namespace godwit::sys
