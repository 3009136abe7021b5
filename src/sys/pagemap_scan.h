// Which pages of a process are there: ioctl(PAGEMAP_SCAN) on /proc/PID/pagemap.
// Source: Linux include/uapi/linux/fs.h (since 6.7), Documentation/admin-guide/mm/pagemap.rst, fs/proc/task_mmu.c.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/process_memory.h"

namespace godwit::sys {

enum PageCategory : uint64_t {
  kPageWriteProtectAllowed = 1 << 0,
  kPageWritten = 1 << 1,
  kPageFile = 1 << 2,
  kPagePresent = 1 << 3,
  kPageSwapped = 1 << 4,
  kPageZero = 1 << 5,
  kPageHuge = 1 << 6,
  kPageSoftDirty = 1 << 7,
  kPageGuard = 1 << 8,  // since Linux 6.15, see tells_guard_pages(); counts as swapped too
};

struct PageRegion {
  AddressRange range;
  uint64_t categories;
};

struct PageQuery {
  uint64_t inverted = 0;  // categories whose sense is turned around
  uint64_t all_of = 0;    // every one of these
  uint64_t any_of = 0;    // and at least one of these, when not 0
  uint64_t report = 0;    // what PageRegion.categories tells
  bool protect = false;   // write-protect what matches, atomically
  bool tracked = false;   // ErrorKind::denied where writes are not tracked (by a userfaultfd with WP_ASYNC)
};

// Whether the kernel tells guard pages apart: madvise(2), MADV_GUARD_INSTALL. One scan of our own memory, once.
bool tells_guard_pages();

// Each of these means content. Where a protected page never was the kernel keeps a marker and calls it swapped
// (fs/proc/task_mmu.c, pagemap_page_category): without swap space that means nothing.
uint64_t pages_with_content();

class PageMap {
 public:
  static Result<PageMap> open(pid_t pid);
  // Whether the address space that was opened still exists: execve(2) and the end of a process end it, and scans then
  // find nothing.
  bool exists() const;
  // Appends the regions of `range` that match, by address. Blocks for the walk (about 0.5 ms per GiB in the fast form).
  Result<void> scan(AddressRange range, const PageQuery& query, std::vector<PageRegion>& into) const;
  // The first page of `range` that is there, or of which the kernel keeps a note.
  Result<std::optional<uint64_t>> first_used(AddressRange range) const;

 private:
  explicit PageMap(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace godwit::sys
