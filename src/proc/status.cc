#include "proc/status.h"

#include <charconv>
#include <map>

namespace godwit::proc {

namespace {

using Lines = std::map<std::string_view, std::string_view>;

Lines split_lines(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view rest = line.substr(colon + 1);
    while (!rest.empty() && (rest.front() == '\t' || rest.front() == ' ')) rest.remove_prefix(1);
    lines.emplace(line.substr(0, colon), rest);
  }
  return lines;
}

template <class Int>
Result<std::vector<Int>> numbers(const Lines& lines, std::string_view name, int base) {
  auto line = lines.find(name);
  if (line == lines.end()) return error(ErrorKind::corrupt, "status has no line " + std::string(name));
  std::vector<Int> values;
  std::string_view text = line->second;
  for (;;) {
    size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return values;
    text.remove_prefix(begin);
    Int value{};
    auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (failed != std::errc()) return error(ErrorKind::corrupt, "status line " + std::string(name));
    values.push_back(value);
    text.remove_prefix(static_cast<size_t>(rest - text.data()));
  }
}

template <class Int>
Result<Int> number(const Lines& lines, std::string_view name, int base = 10) {
  auto values = TRY(numbers<Int>(lines, name, base));
  if (values.empty()) return error(ErrorKind::corrupt, "status line " + std::string(name) + " is empty");
  return values.front();
}

Result<std::array<uint32_t, 4>> four_ids(const Lines& lines, std::string_view name) {
  auto values = TRY(numbers<uint32_t>(lines, name, 10));
  if (values.size() != 4) return error(ErrorKind::corrupt, "status line " + std::string(name));
  return std::array<uint32_t, 4>{values[0], values[1], values[2], values[3]};
}

// The kernel writes a newline in a name as \n and a backslash as two (fs/proc/array.c, proc_task_name).
std::string without_escapes(std::string_view text) {
  std::string name;
  for (size_t i = 0; i < text.size(); ++i) {
    bool escape = text[i] == '\\' && i + 1 < text.size();
    if (!escape) {
      name += text[i];
      continue;
    }
    ++i;
    name += text[i] == 'n' ? '\n' : text[i];
  }
  return name;
}

Result<void> parse_signals_and_capabilities(const Lines& lines, Status& status) {
  constexpr int kHex = 16;
  status.thread_pending = TRY(number<uint64_t>(lines, "SigPnd", kHex));
  status.process_pending = TRY(number<uint64_t>(lines, "ShdPnd", kHex));
  status.blocked = TRY(number<uint64_t>(lines, "SigBlk", kHex));
  status.ignored = TRY(number<uint64_t>(lines, "SigIgn", kHex));
  status.caught = TRY(number<uint64_t>(lines, "SigCgt", kHex));
  status.cap_inheritable = TRY(number<uint64_t>(lines, "CapInh", kHex));
  status.cap_permitted = TRY(number<uint64_t>(lines, "CapPrm", kHex));
  status.cap_effective = TRY(number<uint64_t>(lines, "CapEff", kHex));
  status.cap_bounding = TRY(number<uint64_t>(lines, "CapBnd", kHex));
  status.cap_ambient = TRY(number<uint64_t>(lines, "CapAmb", kHex));
  status.no_new_privs = TRY(number<int>(lines, "NoNewPrivs")) != 0;
  if (lines.contains("Seccomp")) status.seccomp = TRY(number<int>(lines, "Seccomp"));
  return {};
}

}  // namespace

Result<Status> parse_status(std::string_view text) {
  Lines lines = split_lines(text);
  Status status;
  // The name is taken from the text itself: it may begin with spaces.
  size_t name_end = text.find('\n');
  if (!text.starts_with("Name:\t") || name_end == std::string_view::npos) {
    return error(ErrorKind::corrupt, "status does not begin with a name");
  }
  status.name = without_escapes(text.substr(6, name_end - 6));
  auto state = lines.find("State");
  if (state == lines.end() || state->second.empty()) return error(ErrorKind::corrupt, "status has no state");
  status.state = state->second.front();
  if (lines.contains("Umask")) status.umask = TRY(number<uint32_t>(lines, "Umask", 8));  // a zombie has none
  status.pids = TRY(numbers<int32_t>(lines, "NSpid", 10));
  status.process_groups = TRY(numbers<int32_t>(lines, "NSpgid", 10));
  status.sessions = TRY(numbers<int32_t>(lines, "NSsid", 10));
  if (status.pids.empty()) return error(ErrorKind::corrupt, "status line NSpid is empty");
  status.thread_group = TRY(number<int32_t>(lines, "Tgid"));
  status.tracer = TRY(number<int32_t>(lines, "TracerPid"));
  status.uids = TRY(four_ids(lines, "Uid"));
  status.gids = TRY(four_ids(lines, "Gid"));
  status.groups = TRY(numbers<uint32_t>(lines, "Groups", 10));
  status.threads = TRY(number<uint32_t>(lines, "Threads"));
  TRY(parse_signals_and_capabilities(lines, status));
  if (lines.contains("THP_enabled")) status.huge_pages = TRY(number<int>(lines, "THP_enabled")) != 0;
  return status;
}

}  // namespace godwit::proc
