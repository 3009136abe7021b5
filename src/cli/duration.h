// Times as a user writes and reads them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::cli {

// "250ms", "1.5s", "2m" or seconds without a unit, in milliseconds. ErrorKind::corrupt for anything else.
Result<double> parse_duration_ms(std::string_view text);

// Three figures that matter: "0.412 ms", "38.1 ms", "2.50 s", "3 m 12 s".
std::string format_ms(double milliseconds);

// "17 s", "4 m 2 s", "3 h 7 m", "5 d 1 h".
std::string format_age(double seconds);

// "812 B", "1.5 KiB", "204 MiB".
std::string format_bytes(double bytes);

}  // namespace godwit::cli
