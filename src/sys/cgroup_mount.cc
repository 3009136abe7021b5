#include "sys/cgroup_mount.h"

#include "sys/text_file.h"

namespace godwit::sys {

Result<std::string> cgroup2_mount() {
  std::string text = TRY(read_text("/proc/self/mountinfo"));
  size_t at = 0;
  while (at < text.size()) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    size_t field = 0;
    for (int i = 0; i < 4; ++i) field = line.find(' ', field) + 1;  // the fifth is the mount point
    return line.substr(field, line.find(' ', field) - field);
  }
  return error(ErrorKind::unsupported, "cgroup2 is not mounted; mount it with: mount -t cgroup2 none /sys/fs/cgroup");
}

}  // namespace godwit::sys
