#include "sys/ping_groups.h"

#include <cstdio>

#include "sys/text_file.h"

namespace godwit::sys {

namespace {

constexpr const char* kFile = "/proc/sys/net/ipv4/ping_group_range";

}  // namespace

Result<std::string> ping_groups() { return read_text(kFile); }

Result<void> set_ping_groups(const std::string& range) {
  unsigned first = 0, last = 0;
  if (std::sscanf(range.c_str(), "%u %u", &first, &last) != 2) {
    return error(ErrorKind::corrupt, "an impossible range of groups");
  }
  return write_text(kFile, std::to_string(first) + " " + std::to_string(last));
}

}  // namespace godwit::sys
