#include <sys/mman.h>

#include <algorithm>
#include <bit>

#include "address_space/layout.h"
#include "address_space/page_stream.h"
#include "address_space/protection_keys.h"
#include "address_space/skeleton_memory.h"

namespace godwit::address_space {

namespace {

// Whether two mappings that overlap show the same thing at the same address, in the same way.
bool alike(const image::Mapping& a, const image::Mapping& b) {
  return a.kind() == b.kind() && a.object() == b.object() && a.flags() == b.flags() &&
         a.protection() == b.protection() && a.advice() == b.advice() && a.name() == b.name() &&
         a.page_bytes() == b.page_bytes() && a.protection_key() == b.protection_key() &&
         (a.kind() == image::Mapping::ANONYMOUS || a.offset() - a.start() == b.offset() - b.start());
}

image::Mapping part(const image::Mapping& whole, uint64_t start, uint64_t end) {
  image::Mapping piece = whole;
  if (whole.kind() != image::Mapping::ANONYMOUS) piece.set_offset(whole.offset() + (start - whole.start()));
  piece.set_start(start);
  piece.set_end(end);
  return piece;
}

}  // namespace

std::vector<image::Mapping> layout_difference(const std::vector<image::Mapping>& from,
                                              const std::vector<image::Mapping>& to) {
  std::vector<image::Mapping> difference;
  auto other = to.begin();
  for (const image::Mapping& mapping : from) {
    while (other != to.end() && other->end() <= mapping.start()) ++other;
    uint64_t at = mapping.start();
    for (auto it = other; it != to.end() && it->start() < mapping.end(); ++it) {
      if (!alike(mapping, *it)) continue;
      if (it->start() > at) difference.push_back(part(mapping, at, it->start()));
      at = std::max(at, it->end());
    }
    if (at < mapping.end()) difference.push_back(part(mapping, at, mapping.end()));
  }
  return difference;
}

Result<void> check_layout(const image::AddressSpace& space) {
  constexpr int kMostMappings = 200'000;
  if (space.mappings_size() > kMostMappings) return error(ErrorKind::corrupt, "a layout has too many mappings");
  uint64_t last = 0;
  for (const image::Mapping& mapping : space.mappings()) {
    uint64_t page = mapping.page_bytes() == 0 ? kPageBytes : mapping.page_bytes();
    bool aligned = std::has_single_bit(page) && page >= kPageBytes &&
                   (mapping.start() | mapping.end() | mapping.offset()) % page == 0;
    bool ordered = mapping.start() >= last && mapping.start() < mapping.end() && mapping.end() <= kAddressLimit;
    bool known = (mapping.protection() & ~uint32_t{PROT_READ | PROT_WRITE | PROT_EXEC}) == 0 &&
                 mapping.protection_key() < kProtectionKeys;
    if (!aligned || !ordered || !known) return error(ErrorKind::corrupt, "a layout has an impossible mapping");
    last = mapping.end();
  }
  return {};
}

Result<freeze::RemoteAddress> find_common_gap(const std::vector<const image::AddressSpace*>& spaces, uint64_t bytes) {
  std::vector<std::pair<uint64_t, uint64_t>> used;
  for (const image::AddressSpace* space : spaces) {
    for (const image::Mapping& mapping : space->mappings()) used.emplace_back(mapping.start(), mapping.end());
  }
  std::sort(used.begin(), used.end());
  // The widest gap, and its middle: what grows toward it meanwhile is far away.
  uint64_t last = uint64_t{1} << 32;
  uint64_t best_start = 0;
  uint64_t best_size = 0;
  auto consider = [&](uint64_t start, uint64_t end) {
    if (end > start && end - start > best_size) {
      best_start = start;
      best_size = end - start;
    }
  };
  for (auto [start, end] : used) {
    consider(last, std::min(start, kAddressLimit));
    last = std::max(last, end);
  }
  consider(last, kAddressLimit - (uint64_t{1} << 32));
  if (best_size < bytes * 4) return error(ErrorKind::exhausted, "no free range of addresses for our code");
  uint64_t middle = best_start + best_size / 2;
  return freeze::RemoteAddress{middle & ~((uint64_t{1} << 21) - 1)};
}

}  // namespace godwit::address_space
