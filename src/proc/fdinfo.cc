#include "proc/fdinfo.h"

#include <sys/sysmacros.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace godwit::proc {

namespace {

std::string_view trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  size_t end = text.find_last_not_of(" \t");
  return text.substr(begin, end - begin + 1);
}

FileLock::Kind kind_of_lock(std::string_view name) {
  if (name == "POSIX") return FileLock::Kind::posix;
  if (name == "FLOCK") return FileLock::Kind::flock;
  if (name == "OFDLCK") return FileLock::Kind::description;
  return FileLock::Kind::other;
}

// "1: POSIX  ADVISORY  WRITE 359 00:13:11691 128 255"
Result<FileLock> parse_lock(const std::string& text) {
  char kind[16], mode[16], type[16], end[24];
  unsigned long long start = 0;
  int found = std::sscanf(text.c_str(), "%*d: %15s %15s %15s %*d %*s %llu %23s", kind, mode, type, &start, end);
  if (found < 3) return error(ErrorKind::corrupt, "unexpected lock in fdinfo: " + text);
  FileLock lock;
  lock.kind = kind_of_lock(kind);
  if (lock.kind == FileLock::Kind::other) return lock;
  lock.exclusive = std::string_view(type) == "WRITE";
  bool known = found == 5 && (lock.exclusive || std::string_view(type) == "READ");
  if (!known) return error(ErrorKind::corrupt, "unexpected lock in fdinfo: " + text);
  lock.start = start;
  if (std::string_view(end) != "EOF") lock.length = std::strtoull(end, nullptr, 10) - start + 1;
  return lock;
}

// "inotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:7e9e...", all
// hexadecimal; the last three are not always there.
Result<FdInfo::InotifyWatch> parse_inotify(const std::string& line) {
  constexpr uint32_t kMinorBits = 20;  // of the kernel's own dev_t
  unsigned watch = 0, device = 0, mask = 0, bytes = 0, type = 0;
  unsigned long long inode = 0;
  char handle[2 * 128 + 1] = {};
  int found = std::sscanf(line.c_str(),
                          "inotify wd:%x ino:%llx sdev:%x mask:%x ignored_mask:%*x fhandle-bytes:%x fhandle-type:%x "
                          "f_handle:%256s",
                          &watch, &inode, &device, &mask, &bytes, &type, handle);
  if (found < 4) return error(ErrorKind::corrupt, "unexpected fdinfo line: " + line);
  FdInfo::InotifyWatch told{
      static_cast<int32_t>(watch), mask, makedev(device >> kMinorBits, device & ((1u << kMinorBits) - 1)), inode,
      static_cast<int32_t>(type),  {}};
  std::string_view digits(handle);
  for (; digits.size() >= 2; digits.remove_prefix(2)) {
    unsigned char byte = 0;
    std::from_chars(digits.data(), digits.data() + 2, byte, 16);
    told.handle.push_back(static_cast<char>(byte));
  }
  if (told.handle.size() != bytes) return error(ErrorKind::corrupt, "unexpected fdinfo line: " + line);
  return told;
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
    } else if (name == "inotify wd") {
      info.inotify_watches.push_back(TRY(parse_inotify(line)));
    } else if (name == "lock") {
      info.locks.push_back(TRY(parse_lock(value)));
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
