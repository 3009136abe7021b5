#include "address_space/own_pages.h"

#include <sys/mman.h>

namespace godwit::address_space {

bool may_have_own_pages(const image::Mapping& mapping) {
  bool is_private = (mapping.flags() & MAP_TYPE) == MAP_PRIVATE;
  return is_private && (mapping.kind() == image::Mapping::ANONYMOUS || mapping.kind() == image::Mapping::FILE ||
                        mapping.kind() == image::Mapping::SHARED_MEMORY);
}

namespace {

// Whether a page is a file's is asked only where it can be: the answer takes ten times as long as all others together.
sys::PageQuery own_pages(const image::Mapping& mapping) {
  uint64_t not_own = sys::kPageZero;
  if (!is_anonymous(mapping)) not_own |= sys::kPageFile;
  uint64_t content = is_of_pool(mapping) ? uint64_t{sys::kPagePresent} : sys::pages_with_content();  // never swapped
  return {.inverted = not_own, .all_of = not_own, .any_of = content, .report = 0};
}

uint64_t guard_category() { return sys::tells_guard_pages() ? uint64_t{sys::kPageGuard} : 0; }

Result<std::vector<sys::PageRegion>> scan(const sys::PageMap& pages, sys::AddressRange range,
                                          const sys::PageQuery& query) {
  std::vector<sys::PageRegion> regions;
  TRY(pages.scan(range, query, regions));
  return regions;
}

// The kernel takes five times as long for pages that match as for others, so what is absent is looked for. Of what is
// not mapped (any more) it says nothing at all. A page that the kernel is just moving elsewhere counts as swapped too.
Result<OwnPages> find_between_absent(const sys::PageMap& pages, sys::AddressRange range) {
  OwnPages found;
  auto first = TRY(pages.first_used(range));
  if (!first) return found;
  uint64_t at = range.start = *first;
  for (const sys::PageRegion& region : TRY(find_absent(pages, range))) {
    bool guard = (region.categories & sys::kPageGuard) != 0;
    if (guard) found.guards.push_back(region.range);
    if (!guard && (region.categories & sys::kPageSwapped) != 0) continue;
    if (region.range.start > at) found.own.push_back({at, region.range.start});
    at = region.range.end;
  }
  if (at < range.end) found.own.push_back({at, range.end});
  return found;
}

}  // namespace

Result<std::vector<sys::PageRegion>> find_absent(const sys::PageMap& pages, sys::AddressRange range) {
  sys::PageQuery query{.inverted = sys::kPagePresent, .any_of = sys::kPagePresent | sys::kPageZero};
  query.report = sys::kPagePresent | sys::kPageSwapped | sys::kPageZero | guard_category();
  return scan(pages, range, query);
}

Result<std::vector<sys::PageRegion>> find_guards(const sys::PageMap& pages, sys::AddressRange range) {
  if (guard_category() == 0) return std::vector<sys::PageRegion>();
  return scan(pages, range, {.all_of = sys::kPageGuard, .report = sys::kPageGuard});
}

Result<OwnPages> find_own_pages(const sys::PageMap& pages, const image::Mapping& mapping, sys::AddressRange range) {
  if (is_ordinary(mapping)) return find_between_absent(pages, range);
  sys::PageQuery query = own_pages(mapping);
  query.report = guard_category();
  query.any_of |= query.report;
  OwnPages found;
  for (const sys::PageRegion& region : TRY(scan(pages, range, query))) {
    bool guard = (region.categories & sys::kPageGuard) != 0;
    (guard ? found.guards : found.own).push_back(region.range);
  }
  return found;
}

Result<uint64_t> own_bytes(pid_t host_pid, const image::AddressSpace& space) {
  sys::PageMap pages = TRY(sys::PageMap::open(host_pid));
  uint64_t bytes = 0;
  for (const image::Mapping& mapping : space.mappings()) {
    if (!may_have_own_pages(mapping)) continue;
    for (const sys::AddressRange& own : TRY(find_own_pages(pages, mapping, {mapping.start(), mapping.end()})).own) {
      bytes += own.size();
    }
  }
  return bytes;
}

}  // namespace godwit::address_space
