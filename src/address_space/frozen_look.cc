#include "address_space/frozen_look.h"

#include <algorithm>

namespace godwit::address_space {

namespace {

constexpr uint64_t kSliceBytes = uint64_t{64} << 20;
constexpr uint64_t kMostSlices = 64;                  // of a piece: reservations span terabytes
constexpr uint64_t kWorthHelp = uint64_t{512} << 20;  // a look that takes longer than waking a thread

}  // namespace

FrozenLook::FrozenLook(const WriteTracking& tracking, const std::vector<sys::AddressRange>& pieces, Crew& crew) {
  uint64_t bytes = 0;
  for (const sys::AddressRange& piece : pieces) {
    bytes += piece.size();
    uint64_t size = std::max(uint64_t{1}, piece.size() / kMostSlices / kSliceBytes) * kSliceBytes;
    for (uint64_t at = piece.start; at < piece.end; at += size) {
      slices_.push_back({{at, std::min(at + size, piece.end)}, {}});
    }
  }
  auto look = [&](size_t i) { slices_[i].regions = tracking.changes(slices_[i].range); };
  if (bytes >= kWorthHelp) {
    crew.share(slices_.size(), look);
  } else {
    for (size_t i = 0; i < slices_.size(); ++i) look(i);
  }
}

Result<FrozenLook::Changes> FrozenLook::in(sys::AddressRange piece) const {
  auto at = std::ranges::lower_bound(slices_, piece.start, {}, [](const Slice& slice) { return slice.range.start; });
  const uint64_t content = sys::pages_with_content();
  Changes changes;
  for (; at != slices_.end() && at->range.start < piece.end; ++at) {
    if (!at->regions) return std::unexpected(at->regions.error());
    for (const sys::PageRegion& region : *at->regions) {
      if ((region.categories & sys::kPageGuard) != 0) {
        changes.guards.add(region.range);
      } else if ((region.categories & content) == 0) {
        changes.absent.push_back(region.range);
      } else if ((region.categories & sys::kPageWritten) != 0) {
        changes.written.push_back(region.range);
      }
    }
  }
  return changes;
}

}  // namespace godwit::address_space
