#include "cli/signal_name.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace godwit::cli {

namespace {

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<int> signal_number(const std::string& text) {
  Error unknown = error(ErrorKind::corrupt, fmt::format("\"{}\" is no signal; `kill -l` lists them", text));
  if (auto number = whole_number(text)) {
    if (*number < 1 || *number > SIGRTMAX) return unknown;
    return *number;
  }
  std::string name = text;
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(toupper(c)); });
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (int number = 1; number < NSIG; ++number)
    if (const char* known = sigabbrev_np(number); known != nullptr && name == known) return number;
  if (name.starts_with("RTMIN")) {
    auto above = name == "RTMIN" ? 0 : name[5] == '+' ? whole_number(std::string_view(name).substr(6)) : std::nullopt;
    if (above && *above >= 0 && SIGRTMIN + *above <= SIGRTMAX) return SIGRTMIN + *above;
  }
  return unknown;
}

}  // namespace godwit::cli
