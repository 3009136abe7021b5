#include "sys/huge_page_pool.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <string>

#include "sys/errno.h"
#include "sys/process_memory.h"
#include "sys/text_file.h"

namespace godwit::sys {

namespace {

constexpr int kSizeShift = 26;  // MAP_HUGE_SHIFT, asm-generic/hugetlb_encode.h

std::optional<uint64_t> number_in(const std::string& path) {
  auto text = read_text(path);
  uint64_t number = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

}  // namespace

uint64_t pool_page_bytes(int fd) {
  struct statfs status;
  if (::fstatfs(fd, &status) != 0 || status.f_type != HUGETLBFS_MAGIC) return 0;
  return static_cast<uint64_t>(status.f_bsize);
}

// Without a limit f_blocks is 0, or -1 where there is only a min_size: fs/hugetlbfs/inode.c, hugetlbfs_statfs.
Result<PoolRoom> pool_room(int fd) {
  struct statfs status;
  if (::fstatfs(fd, &status) != 0) return last_error("fstatfs");
  if (status.f_type != HUGETLBFS_MAGIC) return PoolRoom{0, std::nullopt};
  bool limited = static_cast<int64_t>(status.f_blocks) > 0;
  return PoolRoom{static_cast<uint64_t>(status.f_bsize), limited ? std::optional(status.f_bavail) : std::nullopt};
}

std::optional<uint64_t> pool_pages_left(uint64_t page_bytes) {
  std::string pool = "/sys/kernel/mm/hugepages/hugepages-" + std::to_string(page_bytes / 1024) + "kB/";
  auto free = number_in(pool + "free_hugepages");
  if (!free) return std::nullopt;
  uint64_t reserved = number_in(pool + "resv_hugepages").value_or(0);
  uint64_t may_grow = number_in(pool + "nr_overcommit_hugepages").value_or(0);
  uint64_t grown = number_in(pool + "surplus_hugepages").value_or(0);
  return *free - std::min(*free, reserved) + (may_grow - std::min(may_grow, grown));
}

uint32_t pool_size_flag(uint64_t page_bytes) {
  return static_cast<uint32_t>(std::countr_zero(page_bytes)) << kSizeShift;
}

uint64_t pool_map_flags(uint64_t page_bytes) { return uint64_t{MAP_HUGETLB} | pool_size_flag(page_bytes); }

Result<void> write_to_pool(int fd, uint64_t page_bytes, uint64_t offset, std::span<const std::byte> bytes) {
  uint64_t start = offset / page_bytes * page_bytes;
  uint64_t end = (offset + bytes.size() + page_bytes - 1) / page_bytes * page_bytes;
  void* place = ::mmap(nullptr, end - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(start));
  if (place == MAP_FAILED) return last_error("mmap", "memory of the hugetlb pool");
  // By the kernel: should somebody cut the object off meanwhile this is an error, and no signal.
  auto written = write_memory(::getpid(), reinterpret_cast<uint64_t>(place) + (offset - start), bytes);
  ::munmap(place, end - start);
  return written;
}

}  // namespace godwit::sys
