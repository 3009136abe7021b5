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

bool may_have_own_pages(const image::Mapping& mapping);
sys::PageQuery own_pages(const image::Mapping& mapping);
Result<std::vector<sys::PageRegion>> scan(const sys::PageMap& pages, sys::AddressRange range,
                                          const sys::PageQuery& query);

// How many bytes of its own a process has now: for progress, predictions and --dry-run.
Result<uint64_t> own_bytes(pid_t host_pid, const image::AddressSpace& space);

}  // namespace godwit::address_space
