#include "proc/maps.h"

#include <algorithm>
#include <charconv>

namespace godwit::proc {

namespace {

// Takes a number up to (and with) `end` from the front of `text`.
template <class Int>
bool take_number(std::string_view& text, int base, char end, Int& value) {
  auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failed != std::errc() || rest == text.data() + text.size() || *rest != end) return false;
  text.remove_prefix(static_cast<size_t>(rest - text.data()) + 1);
  return true;
}

// maps(5) writes a newline in a path as \012.
std::string unescape(std::string_view name) {
  std::string text;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name.substr(i, 4) == "\\012") {
      text += '\n';
      i += 3;
    } else {
      text += name[i];
    }
  }
  return text;
}

bool parse_line(std::string_view line, MapEntry& entry) {
  if (!take_number(line, 16, '-', entry.start) || !take_number(line, 16, ' ', entry.end)) return false;
  if (line.size() < 5 || entry.start >= entry.end) return false;
  entry.read = line[0] == 'r';
  entry.write = line[1] == 'w';
  entry.execute = line[2] == 'x';
  entry.shared = line[3] == 's';
  line.remove_prefix(5);
  if (!take_number(line, 16, ' ', entry.offset) || !take_number(line, 16, ':', entry.device_major) ||
      !take_number(line, 16, ' ', entry.device_minor)) {
    return false;
  }
  auto [rest, failed] = std::from_chars(line.data(), line.data() + line.size(), entry.inode);
  if (failed != std::errc()) return false;
  line.remove_prefix(static_cast<size_t>(rest - line.data()));
  size_t name = line.find_first_not_of(' ');
  if (name != std::string_view::npos) entry.name = unescape(line.substr(name));
  return true;
}

bool is_attribute(std::string_view line) {  // "Rss:   4 kB" and the like begin with a capital letter
  return !line.empty() && line[0] >= 'A' && line[0] <= 'Z';
}

void take_attribute(std::string_view line, MapEntry& entry) {
  constexpr std::string_view kFlags = "VmFlags:";
  constexpr std::string_view kKey = "ProtectionKey:";
  if (line.starts_with(kFlags)) entry.vm_flags = line.substr(kFlags.size());
  if (!line.starts_with(kKey)) return;
  line.remove_prefix(std::min(line.find_first_not_of(' ', kKey.size()), line.size()));
  std::from_chars(line.data(), line.data() + line.size(), entry.protection_key);
}

}  // namespace

Result<std::vector<MapEntry>> parse_maps(std::string_view text) {
  std::vector<MapEntry> entries;
  TRY(parse_maps(text, entries));
  return entries;
}

Result<void> parse_maps(std::string_view lines, std::vector<MapEntry>& entries) {
  while (!lines.empty()) {
    size_t end = std::min(lines.find('\n'), lines.size());
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.empty()) continue;
    if (is_attribute(line)) {
      if (!entries.empty()) take_attribute(line, entries.back());
      continue;
    }
    MapEntry entry;
    if (!parse_line(line, entry)) return error(ErrorKind::corrupt, "unexpected line in maps: " + std::string(line));
    entries.push_back(std::move(entry));
  }
  return {};
}

void make_disjoint(std::vector<MapEntry>& entries) {
  uint64_t end = 0;
  for (MapEntry& entry : entries) {
    uint64_t told = std::min(end, entry.end);
    if (told > entry.start) {
      entry.offset += entry.inode != 0 ? told - entry.start : 0;
      entry.start = told;
    }
    end = std::max(end, entry.end);
  }
  std::erase_if(entries, [](const MapEntry& entry) { return entry.start >= entry.end; });
}

bool MapEntry::has_flag(std::string_view two_letters) const {
  for (size_t at = vm_flags.find(two_letters); at != std::string::npos; at = vm_flags.find(two_letters, at + 1)) {
    bool begins = at == 0 || vm_flags[at - 1] == ' ';
    bool ends = at + 2 == vm_flags.size() || vm_flags[at + 2] == ' ';
    if (begins && ends) return true;
  }
  return false;
}

}  // namespace godwit::proc
