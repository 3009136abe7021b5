// /proc/PID/maps and /proc/PID/smaps as values. Pure functions of text. Source: proc_pid_maps(5), proc_pid_smaps(5).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::proc {

struct MapEntry {
  uint64_t start = 0;  // half-open range, bytes
  uint64_t end = 0;
  bool read = false, write = false, execute = false, shared = false;
  uint64_t offset = 0;
  uint32_t device_major = 0, device_minor = 0;
  uint64_t inode = 0;
  std::string name;             // path (octal escapes undone, " (deleted)" kept), "[heap]", "[anon:...]", or empty
  std::string vm_flags;         // of smaps: two letters each, "rd wr mr"; empty when read from maps
  uint32_t protection_key = 0;  // of smaps

  bool has_flag(std::string_view two_letters) const;
};

// The entries of either file; vm_flags and protection_key are filled in when the text is smaps.
Result<std::vector<MapEntry>> parse_maps(std::string_view text);
// The same of a part of it, whole lines; appends to the entries of the parts before.
Result<void> parse_maps(std::string_view lines, std::vector<MapEntry>& entries);

// The kernel writes such a file in parts, between which a running process goes on: a mapping that meanwhile became one
// with its neighbour is told of twice. Ensures: entries are in order and do not overlap; of what was told twice the
// first counts.
void make_disjoint(std::vector<MapEntry>& entries);

}  // namespace godwit::proc
