#include "address_space/own_pages.h"

#include <sys/mman.h>

namespace godwit::address_space {

bool may_have_own_pages(const image::Mapping& mapping) {
  bool is_private = (mapping.flags() & MAP_TYPE) == MAP_PRIVATE;
  return is_private && (mapping.kind() == image::Mapping::ANONYMOUS || mapping.kind() == image::Mapping::FILE ||
                        mapping.kind() == image::Mapping::SHARED_MEMORY);
}

// Whether a page is a file's is asked only where it can be: the answer takes ten times as long as all others together.
sys::PageQuery own_pages(const image::Mapping& mapping) {
  uint64_t not_own = sys::kPageZero;
  if (!is_anonymous(mapping)) not_own |= sys::kPageFile;
  uint64_t content = is_of_pool(mapping) ? uint64_t{sys::kPagePresent} : sys::pages_with_content();  // never swapped
  return {.inverted = not_own, .all_of = not_own, .any_of = content, .report = 0};
}

Result<std::vector<sys::PageRegion>> scan(const sys::PageMap& pages, sys::AddressRange range,
                                          const sys::PageQuery& query) {
  std::vector<sys::PageRegion> regions;
  TRY(pages.scan(range, query, regions));
  return regions;
}

Result<uint64_t> own_bytes(pid_t host_pid, const image::AddressSpace& space) {
  sys::PageMap pages = TRY(sys::PageMap::open(host_pid));
  uint64_t bytes = 0;
  for (const image::Mapping& mapping : space.mappings()) {
    if (!may_have_own_pages(mapping)) continue;
    for (const sys::PageRegion& region : TRY(scan(pages, {mapping.start(), mapping.end()}, own_pages(mapping)))) {
      bytes += region.range.size();
    }
  }
  return bytes;
}

}  // namespace godwit::address_space
