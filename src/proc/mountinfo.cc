#include "proc/mountinfo.h"

#include <charconv>

namespace godwit::proc {
namespace {

std::string_view next_word(std::string_view& line) {
  size_t end = std::min(line.find(' '), line.size());
  std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// "\040" and the like stand for space, tab, newline, backslash and '#'.
std::string unescape(std::string_view word) {
  std::string text;
  for (size_t i = 0; i < word.size(); ++i) {
    bool escape = word[i] == '\\' && i + 3 < word.size() && is_octal(word[i + 1]) && is_octal(word[i + 2]) &&
                  is_octal(word[i + 3]);
    if (!escape) {
      text += word[i];
      continue;
    }
    text += static_cast<char>((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 + (word[i + 3] - '0'));
    i += 3;
  }
  return text;
}

template <class Int>
bool parse_number(std::string_view word, Int& value) {
  auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
  return code == std::errc() && end == word.data() + word.size();
}

Result<Mount> parse_line(std::string_view line) {
  std::string_view whole = line;
  Mount mount;
  bool good = parse_number(next_word(line), mount.id) && parse_number(next_word(line), mount.parent);
  std::string_view device = next_word(line);
  size_t colon = device.find(':');
  good = good && colon != std::string_view::npos && parse_number(device.substr(0, colon), mount.major) &&
         parse_number(device.substr(colon + 1), mount.minor);
  mount.root = unescape(next_word(line));
  mount.point = unescape(next_word(line));
  mount.options = next_word(line);
  std::string_view tag = next_word(line);
  for (; tag != "-" && !line.empty(); tag = next_word(line)) mount.tags.emplace_back(tag);
  mount.type = unescape(next_word(line));
  mount.source = unescape(next_word(line));
  mount.super_options = unescape(next_word(line));
  if (!good || tag != "-" || mount.type.empty()) {
    return error(ErrorKind::corrupt, "not a line of mountinfo: " + std::string(whole));
  }
  return mount;
}

}  // namespace

Result<std::vector<Mount>> parse_mountinfo(std::string_view text) {
  std::vector<Mount> mounts;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    mounts.push_back(TRY(parse_line(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return mounts;
}

const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view path) {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts) {
    std::string_view point = mount.point;
    bool below =
        point == "/" || (path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/'));
    if (!below) continue;
    if (best == nullptr || point.size() >= best->point.size()) best = &mount;
  }
  return best;
}

}  // namespace godwit::proc
