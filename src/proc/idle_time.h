// /proc/stat: how long the machine's processors have been idle. A pure function of text. Source: proc_stat(5).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace godwit::proc {

// Of all processors together, waiting for disks included; clock ticks since the machine was started.
// ErrorKind::corrupt when the line of all processors is missing or malformed.
Result<uint64_t> parse_idle_ticks(std::string_view text);

}  // namespace godwit::proc
