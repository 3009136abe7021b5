// Which pages of its mappings a process has of its own: what must travel. Source: proc(5), pagemap; Linux
// fs/proc/task_mmu.c, PAGEMAP_SCAN.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/result.h"
#include "godwit/image.pb.h"
#include "sys/pagemap_scan.h"

namespace godwit::address_space {

inline bool is_anonymous(const image::Mapping& mapping) { return mapping.kind() == image::Mapping::ANONYMOUS; }

// Memory of the hugetlb pool comes and goes by its own pages; only content is sent in ordinary ones.
inline bool is_of_pool(const image::Mapping& mapping) { return mapping.page_bytes() != 0; }

// What post-copy can bring page by page, and FrozenLook tell of.
inline bool is_ordinary(const image::Mapping& mapping) { return is_anonymous(mapping) && !is_of_pool(mapping); }

bool may_have_own_pages(const image::Mapping& mapping);

struct OwnPages {
  std::vector<sys::AddressRange> own;     // by address
  std::vector<sys::AddressRange> guards;  // pages, of which there is no content
};
// In a part of the mapping; behind its first page all of it is still mapped, or counts as its own. About 0.5 ms for
// each GiB of ordinary memory that is all there.
Result<OwnPages> find_own_pages(const sys::PageMap& pages, const image::Mapping& mapping, sys::AddressRange range);
// None where the kernel does not tell.
Result<std::vector<sys::PageRegion>> find_guards(const sys::PageMap& pages, sys::AddressRange range);
// Where ordinary memory has no page of its own, or, as kPageSwapped tells, has it in swap space: told apart by
// kPagePresent, kPageSwapped, kPageZero and, where the kernel knows it, kPageGuard.
Result<std::vector<sys::PageRegion>> find_absent(const sys::PageMap& pages, sys::AddressRange range);

// How many bytes of its own a process has now: for progress, predictions and --dry-run.
Result<uint64_t> own_bytes(pid_t host_pid, const image::AddressSpace& space);

}  // namespace godwit::address_space
