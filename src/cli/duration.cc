#include "cli/duration.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace godwit::cli {

Result<double> parse_duration_ms(std::string_view text) {
  double value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  double factor = unit == "ms" ? 1 : unit.empty() || unit == "s" ? 1000 : unit == "m" ? 60e3 : unit == "h" ? 3600e3 : 0;
  if (failed != std::errc() || factor == 0 || !std::isfinite(value) || value < 0)
    return error(ErrorKind::corrupt, fmt::format("\"{}\" is no time (250ms, 1.5s, 2m)", text));
  return value * factor;
}

std::string format_ms(double milliseconds) {
  if (milliseconds >= 60e3) {
    auto seconds = static_cast<long>(std::lround(milliseconds / 1e3));
    return fmt::format("{} m {} s", seconds / 60, seconds % 60);
  }
  bool in_seconds = milliseconds >= 999.5;
  double value = in_seconds ? milliseconds / 1e3 : milliseconds;
  int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.9995 ? 2 : 3;
  return fmt::format("{:.{}f} {}", value, decimals, in_seconds ? "s" : "ms");
}

std::string format_age(double seconds) {
  auto whole = static_cast<long>(seconds < 0 ? 0 : seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} m {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} m", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
}

std::string format_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1023.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit > 0 && bytes < 9.95 ? 1 : 0, kUnits[unit]);
}

}  // namespace godwit::cli
