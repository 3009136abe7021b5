// Memory objects: memfd_create(2) with its seals, anonymous shared memory as a descriptor, System V segments
// (shmget(2)).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// `page_bytes` throughout: of huge pages from the kernel's pool; 0: ordinary pages.
Result<UniqueFd> make_memfd(const std::string& name, bool sealable, uint64_t size, uint64_t page_bytes = 0);
// What MAP_SHARED|MAP_ANONYMOUS makes, by way of a mapping of our own and /proc/self/map_files.
Result<UniqueFd> make_anonymous_shared(uint64_t size, uint64_t page_bytes);
struct SysvSegment {
  int32_t id, key;
  uint32_t mode, uid, gid;
  uint64_t size;
  uint64_t page_bytes;
};
// A segment with just this identifier in the current ipc namespace.
Result<UniqueFd> make_sysv_segment(const SysvSegment& segment);
// 0 for what cannot have any.
uint32_t seals_of(int fd);
Result<void> add_seals(int fd, uint32_t seals);

}  // namespace godwit::sys
