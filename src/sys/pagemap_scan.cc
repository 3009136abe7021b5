#include "sys/pagemap_scan.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "sys/errno.h"
#include "sys/swap_space.h"

namespace godwit::sys {

namespace {

// include/uapi/linux/fs.h, since Linux 6.7
struct PmScanArg {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t vec;
  uint64_t vec_len;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
struct PageRegionRaw {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PmScanArg);
constexpr uint64_t kScanWriteProtect = 1 << 0;
constexpr uint64_t kScanCheckTracked = 1 << 1;

}  // namespace

Result<PageMap> PageMap::open(pid_t pid) {
  std::string path = "/proc/" + std::to_string(pid) + "/pagemap";
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  return PageMap(std::move(fd));
}

bool PageMap::exists() const {
  uint64_t entry;
  return ::pread(fd_.get(), &entry, sizeof entry, 0) == sizeof entry;  // otherwise as at the end of a file
}

Result<void> PageMap::scan(AddressRange range, const PageQuery& query, std::vector<PageRegion>& into) const {
  static thread_local std::array<PageRegionRaw, 4096> found;
  uint64_t at = range.start;
  while (at < range.end) {
    PmScanArg argument{};
    argument.size = sizeof argument;
    argument.flags = (query.protect ? kScanWriteProtect : 0) | (query.tracked ? kScanCheckTracked : 0);
    argument.start = at;
    argument.end = range.end;
    argument.vec = reinterpret_cast<uint64_t>(found.data());
    argument.vec_len = found.size();
    argument.category_inverted = query.inverted;
    argument.category_mask = query.all_of;
    argument.category_anyof_mask = query.any_of;
    argument.return_mask = query.report;
    int count = ::ioctl(fd_.get(), kPagemapScan, &argument);
    if (count < 0) return last_error("ioctl(PAGEMAP_SCAN)");
    for (int i = 0; i < count; ++i) {
      const PageRegionRaw& raw = found[static_cast<size_t>(i)];
      bool joins = !into.empty() && into.back().range.end == raw.start && into.back().categories == raw.categories;
      if (joins) {
        into.back().range.end = raw.end;
      } else {
        into.push_back({{raw.start, raw.end}, raw.categories});
      }
    }
    // walk_end is where the kernel's own buffer of 512 was last full, also when it went on from there to the end
    // (fs/proc/task_mmu.c, do_pagemap_scan): to go on there would find the rest twice.
    bool all = static_cast<size_t>(count) < found.size();
    at = all ? range.end : std::max<uint64_t>(argument.walk_end, found.back().end);
  }
  return {};
}

Result<std::optional<uint64_t>> PageMap::first_used(AddressRange range) const {
  PageRegionRaw found{};
  PmScanArg argument{};
  argument.size = sizeof argument;
  argument.start = range.start;
  argument.end = range.end;
  argument.vec = reinterpret_cast<uint64_t>(&found);
  argument.vec_len = 1;
  argument.max_pages = 1;
  argument.category_anyof_mask = kPagePresent | kPageSwapped;
  int count = ::ioctl(fd_.get(), kPagemapScan, &argument);
  if (count < 0) return last_error("ioctl(PAGEMAP_SCAN)");
  return count == 0 ? std::nullopt : std::optional(found.start);
}

uint64_t pages_with_content() {
  static const uint64_t swapped = has_swap_space() ? uint64_t{kPageSwapped} : 0;
  return kPagePresent | swapped;
}

bool tells_guard_pages() {
  static const bool tells = [] {
    auto own = PageMap::open(::getpid());
    std::vector<PageRegion> none;
    return own && own->scan({0, 0x1000}, {.all_of = kPageGuard}, none);
  }();
  return tells;
}

}  // namespace godwit::sys
