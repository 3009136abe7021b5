// Small files read and written whole: /proc, /sys, cgroup attributes. Not for user data.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::sys {

// At most 64 MiB; ErrorKind::exhausted beyond.
Result<std::string> read_text(const std::string& path);
// A text of any length, whole lines at a time, at most about 1 MiB of them. An error of `take` ends it.
Result<void> read_lines(const std::string& path, const std::function<Result<void>(std::string_view lines)>& take);
// One write(2) to a file that exists.
Result<void> write_text(const std::string& path, std::string_view text);

}  // namespace godwit::sys
