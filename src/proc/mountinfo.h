// /proc/PID/mountinfo as values. A pure function of text. Source: proc_pid_mountinfo(5); escapes: fs/proc_namespace.c.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::proc {

struct Mount {
  int32_t id = 0;
  int32_t parent = 0;
  uint32_t major = 0, minor = 0;  // st_dev of its files
  std::string root;               // of the mount within its file system
  std::string point;              // relative to the process's root
  std::string options;            // of this mount
  std::vector<std::string> tags;  // "shared:1", "master:2", ...
  std::string type;
  std::string source;
  std::string super_options;
};

// In the order of the file: what is mounted over something comes after it.
Result<std::vector<Mount>> parse_mountinfo(std::string_view text);

// The mount that shows what is at `path`, an absolute path without links; nullptr when none does.
const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view path);

}  // namespace godwit::proc
