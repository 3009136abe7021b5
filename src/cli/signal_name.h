// Signals by name and number.
#pragma once

#include <string>

#include "base/result.h"

namespace godwit::cli {

// "TERM", "SIGTERM", "term", "15", "RTMIN+3". ErrorKind::corrupt for anything else.
Result<int> signal_number(const std::string& text);

}  // namespace godwit::cli
