// The kernel's pool of huge pages, which programs ask for by MAP_HUGETLB, MFD_HUGETLB and SHM_HUGETLB: how many are
// left, and what lies in them. Source: Documentation/admin-guide/mm/hugetlbpage.rst, statfs(2), Linux
// fs/hugetlbfs/inode.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace godwit::sys {

// Of what `fd` shows; 0: it does not lie in the pool.
uint64_t pool_page_bytes(int fd);
// Of the hugetlbfs that `fd` shows; O_PATH will do.
struct PoolRoom {
  uint64_t page_bytes;                 // 0: it is another file system
  std::optional<uint64_t> pages_left;  // by the mount's option `size`; nothing: there is no such limit
};
Result<PoolRoom> pool_room(int fd);
// How many pages of this size can still be asked for; nothing: the kernel has none of this size.
std::optional<uint64_t> pool_pages_left(uint64_t page_bytes);
// MAP_HUGETLB and the size for mmap(2); memfd_create(2) and shmget(2) have the size at the same place.
// Requires: a power of two.
uint64_t pool_map_flags(uint64_t page_bytes);
uint32_t pool_size_flag(uint64_t page_bytes);
// write(2) does not work there: by way of a mapping of our own. Requires: within the object's size.
Result<void> write_to_pool(int fd, uint64_t page_bytes, uint64_t offset, std::span<const std::byte> bytes);

}  // namespace godwit::sys
