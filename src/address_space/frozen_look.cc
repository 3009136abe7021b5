#include "address_space/frozen_look.h"

#include <algorithm>

#include "address_space/own_pages.h"

namespace godwit::address_space {

namespace {

constexpr uint64_t kSliceBytes = uint64_t{64} << 20;
constexpr uint64_t kMostSlices = 64;                  // of a piece: reservations span terabytes
constexpr uint64_t kWorthHelp = uint64_t{512} << 20;  // a look that takes longer than waking a thread

}  // namespace

FrozenLook::FrozenLook(const sys::PageMap& pages, const WriteTracking* tracking,
                       const std::vector<sys::AddressRange>& pieces)
    : pages_(&pages), tracking_(tracking) {
  for (const sys::AddressRange& piece : pieces) {
    bytes_ += piece.size();
    uint64_t size = std::max(uint64_t{1}, piece.size() / kMostSlices / kSliceBytes) * kSliceBytes;
    for (uint64_t at = piece.start; at < piece.end; at += size) {
      slices_.push_back({{at, std::min(at + size, piece.end)}, {}});
    }
  }
}

bool FrozenLook::is_worth_help(uint64_t bytes) { return bytes >= kWorthHelp; }

void FrozenLook::look_at(size_t part) {
  Slice& slice = slices_[part];
  slice.regions = tracking_ != nullptr ? tracking_->changes(slice.range) : find_absent(*pages_, slice.range);
}

void FrozenLook::look_at_all(Crew& crew) {
  if (is_worth_help(bytes_)) return crew.share(parts(), [this](size_t part) { look_at(part); });
  for (size_t part = 0; part < parts(); ++part) look_at(part);
}

Result<FrozenLook::Changes> FrozenLook::in(sys::AddressRange piece) const {
  auto at = std::ranges::lower_bound(slices_, piece.start, {}, [](const Slice& slice) { return slice.range.start; });
  constexpr uint64_t kContent = sys::kPagePresent | sys::kPageSwapped;  // or just being moved by the kernel
  Changes changes;
  uint64_t looked_until = piece.start;
  for (; at != slices_.end() && at->range.start == looked_until && at->range.end <= piece.end; ++at) {
    looked_until = at->range.end;
    if (!at->regions) return std::unexpected(at->regions.error());
    for (const sys::PageRegion& region : *at->regions) {
      if ((region.categories & sys::kPageGuard) != 0) {
        changes.guards.add(region.range);
      } else if ((region.categories & kContent) == 0 || (region.categories & sys::kPageZero) != 0) {
        changes.absent.push_back(region.range);
      } else if ((region.categories & sys::kPageWritten) != 0) {
        changes.written.push_back(region.range);
      }
    }
  }
  if (looked_until != piece.end) return error(ErrorKind::gone, "memory that was not looked at");
  return changes;
}

}  // namespace godwit::address_space
