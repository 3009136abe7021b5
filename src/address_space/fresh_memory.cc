#include "address_space/fresh_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "address_space/layout.h"
#include "address_space/page_stream.h"
#include "sys/huge_pages.h"

namespace godwit::address_space {

namespace {

constexpr uint64_t kWorthwhileBytes = 256 << 10;

bool is_large_and_anonymous(const image::Mapping& mapping) {
  return mapping.kind() == image::Mapping::ANONYMOUS && (mapping.flags() & MAP_SHARED) == 0 &&
         mapping.page_bytes() == 0 && (mapping.advice() & kHugePages) == 0 &&
         mapping.end() - mapping.start() >= kWorthwhileBytes;
}

}  // namespace

bool FreshMemory::worthwhile() { return !sys::huge_pages_for_all(); }

Result<FreshMemory> FreshMemory::of(sys::Userfaultfd faults, const image::AddressSpace& layout) {
  FreshMemory fresh(std::move(faults));
  for (const image::Mapping& mapping : layout.mappings()) {
    if (!is_large_and_anonymous(mapping)) continue;
    sys::AddressRange range{mapping.start(), mapping.end()};
    TRY(fresh.faults_.watch_missing(range));
    fresh.mappings_.add(range);
  }
  return fresh;
}

// Returns how much was put; 0: the first page is there already, or its mapping is another one by now.
Result<size_t> FreshMemory::fill(uint64_t address, std::span<const std::byte> bytes) {
  auto put = faults_.copy(address, bytes);
  bool not_in_one_mapping = !put && put.error().errno_value == ENOENT;
  if (not_in_one_mapping && bytes.size() > kPageBytes) put = faults_.copy(address, bytes.first(kPageBytes));
  if (!put && put.error().errno_value == ENOENT) {
    std::lock_guard lock(*writing_);
    mappings_.remove({address, address + kPageBytes});
    return size_t{0};
  }
  return put;
}

std::optional<sys::AddressRange> FreshMemory::next_mapping(uint64_t address) const {
  std::lock_guard lock(*writing_);
  return mappings_.first_from(address);
}

Result<void> FreshMemory::write(const sys::MemoryFile& memory, uint64_t address, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    auto next = next_mapping(address);
    bool ours = next && next->start == address;
    uint64_t end = !next ? address + bytes.size() : ours ? next->end : next->start;
    auto part = bytes.first(std::min<uint64_t>(bytes.size(), end - address));
    size_t done = ours ? TRY(fill(address, part)) : 0;
    if (done == 0) {
      if (ours) part = part.first(kPageBytes);
      TRY(memory.write(address, part));
      done = part.size();
    }
    bytes = bytes.subspan(done);
    address += done;
  }
  return {};
}

}  // namespace godwit::address_space
