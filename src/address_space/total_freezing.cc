#include "address_space/total_freezing.h"

#include <sys/mman.h>

namespace godwit::address_space {

namespace {

bool may_have_own_pages(const image::Mapping& mapping) {
  bool is_private = (mapping.flags() & MAP_TYPE) == MAP_PRIVATE;
  return is_private && (mapping.kind() == image::Mapping::ANONYMOUS || mapping.kind() == image::Mapping::FILE ||
                        mapping.kind() == image::Mapping::SHARED_MEMORY);
}

constexpr sys::PageQuery kOwnPages{.inverted = sys::kPageFile | sys::kPageZero,
                                   .all_of = sys::kPageFile | sys::kPageZero,
                                   .any_of = sys::kPagePresent | sys::kPageSwapped,
                                   .report = 0};

Result<std::vector<sys::PageRegion>> scan_mapping(const sys::PageMap& pages, const image::Mapping& mapping) {
  std::vector<sys::PageRegion> regions;
  TRY(pages.scan({mapping.start(), mapping.end()}, kOwnPages, regions));
  return regions;
}

}  // namespace

Result<std::vector<sys::AddressRange>> own_pages(pid_t host_pid, const image::AddressSpace& space) {
  sys::PageMap pages = TRY(sys::PageMap::open(host_pid));
  std::vector<sys::AddressRange> ranges;
  for (const image::Mapping& mapping : space.mappings()) {
    if (!may_have_own_pages(mapping)) continue;
    for (const sys::PageRegion& region : TRY(scan_mapping(pages, mapping))) ranges.push_back(region.range);
  }
  return ranges;
}

Result<MemoryCounts> send_whole_memory(std::span<const MemoryOfProcess> processes, const image::LogicalHost& host,
                                       const objects::SharedMemoryTable& shared, transport::Connection& connection) {
  PageSender sender(connection);
  for (const MemoryOfProcess& process : processes) {
    sys::PageMap pages = TRY(sys::PageMap::open(process.host_pid));
    for (const image::Mapping& mapping : process.space->mappings()) {
      if (!may_have_own_pages(mapping)) continue;
      bool over_zeros = mapping.kind() == image::Mapping::ANONYMOUS;
      for (const sys::PageRegion& region : TRY(scan_mapping(pages, mapping))) {
        TRY(sender.send(process.host_pid, process.pid, region.range, over_zeros));
      }
    }
  }
  TRY(sender.flush());
  for (const image::SharedMemory& object : host.shared_memory()) {
    TRY(sender.send_object(object.id(), TRY(shared.fd_of(object.id())), 0, object.size()));
  }
  const PageCounts& counts = sender.counts();
  return MemoryCounts{counts.sent + counts.zero, counts.sent, counts.zero};
}

Result<uint64_t> memory_bytes(std::span<const MemoryOfProcess> processes) {
  uint64_t bytes = 0;
  for (const MemoryOfProcess& process : processes) {
    for (const sys::AddressRange& range : TRY(own_pages(process.host_pid, *process.space))) bytes += range.size();
  }
  return bytes;
}

}  // namespace godwit::address_space
