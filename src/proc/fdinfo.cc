#include "proc/fdinfo.h"

#include <charconv>
#include <cstdio>

namespace godwit::proc {

namespace {

std::string_view trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  size_t end = text.find_last_not_of(" \t");
  return text.substr(begin, end - begin + 1);
}

}  // namespace

std::string_view FdInfo::field(std::string_view name) const {
  auto found = fields.find(name);
  return found == fields.end() ? std::string_view() : std::string_view(found->second);
}

uint64_t FdInfo::number(std::string_view name, int base) const {
  std::string_view text = field(name);
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

Result<FdInfo> parse_fdinfo(std::string_view text) {
  FdInfo info;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string name(trimmed(std::string_view(line).substr(0, colon)));
    std::string value(trimmed(std::string_view(line).substr(colon + 1)));
    if (name == "tfd") {
      FdInfo::EpollTarget target{};
      unsigned events = 0;
      unsigned long long data = 0;
      if (std::sscanf(line.c_str(), "tfd: %d events: %x data: %llx", &target.number, &events, &data) != 3) {
        return error(ErrorKind::corrupt, "unexpected fdinfo line: " + line);
      }
      target.events = events;
      target.data = data;
      info.epoll_targets.push_back(target);
    } else if (name == "lock") {
      info.locks.push_back(value);
    } else {
      info.fields.emplace(name, value);
    }
  }
  if (!info.fields.contains("flags")) return error(ErrorKind::corrupt, "fdinfo without flags");
  info.position = info.number("pos", 10);
  info.flags = static_cast<uint32_t>(info.number("flags", 8));
  return info;
}

}  // namespace godwit::proc
