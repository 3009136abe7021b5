// /proc/PID/status and /proc/PID/task/TID/status as values. Pure functions of text. Source: proc_pid_status(5).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::proc {

struct Status {
  std::string name;  // escapes undone
  char state = '?';  // R S D T t Z X I
  uint32_t umask = 0;
  std::vector<int32_t> pids;            // NSpid: in the reader's pid namespace first, in the innermost last
  std::vector<int32_t> process_groups;  // NSpgid
  std::vector<int32_t> sessions;        // NSsid
  int32_t thread_group = 0;             // Tgid, reader's namespace
  int32_t tracer = 0;
  std::array<uint32_t, 4> uids{};  // real, effective, saved, file system
  std::array<uint32_t, 4> gids{};
  std::vector<uint32_t> groups;
  // Signal sets: bit n-1 stands for signal n.
  uint64_t thread_pending = 0, process_pending = 0, blocked = 0, ignored = 0, caught = 0;
  uint64_t cap_inheritable = 0, cap_permitted = 0, cap_effective = 0, cap_bounding = 0, cap_ambient = 0;
  bool no_new_privs = false;
  int seccomp = 0;  // 0: none, 1: strict, 2: filter
  uint32_t threads = 0;
  std::optional<bool> huge_pages;  // THP_enabled; absent on kernels without it
};

// ErrorKind::corrupt when a line that every supported kernel has is missing or malformed.
Result<Status> parse_status(std::string_view text);

}  // namespace godwit::proc
