// Transparent huge pages of another process: process_madvise(2) with MADV_COLLAPSE, since Linux 6.1.
// Source: madvise(2), Documentation/admin-guide/mm/transhuge.rst, Linux mm/khugepaged.c (madvise_collapse).
#pragma once

#include <cstdint>

#include "base/result.h"
#include "sys/process_memory.h"

namespace godwit::sys {

constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;

// Whether the node's administrator lets programs have them.
bool huge_pages_allowed();
// Whether programs have them, or smaller ones of several pages (since Linux 6.8), that did not ask.
bool huge_pages_for_all();
// Makes huge pages of what is there in small ones; holes stay. Blocks for the copying; the process runs on.
// Requires: both ends are multiples of kHugePageBytes. Errors: retry when some could not be made.
Result<void> collapse_to_huge_pages(int pidfd, AddressRange range);

}  // namespace godwit::sys
