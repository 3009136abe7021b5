#include "address_space/frozen_look.h"

#include <algorithm>

#include "address_space/own_pages.h"

namespace godwit::address_space {

namespace {

constexpr uint64_t kSliceBytes = uint64_t{16} << 20;  // some 12 us, after which others may have the processor
constexpr uint64_t kMostSlices = 256;                 // of a piece: reservations span terabytes
constexpr uint64_t kWorthHelp = uint64_t{512} << 20;  // a look that takes longer than waking a thread

}  // namespace

FrozenLook::FrozenLook(const sys::PageMap& pages, const WriteTracking* tracking, const std::vector<Piece>& pieces)
    : pages_(&pages), tracking_(tracking) {
  for (const auto& [range, for_guards_only] : pieces) {
    bytes_ += range.size();
    uint64_t size = std::max(uint64_t{1}, range.size() / kMostSlices / kSliceBytes) * kSliceBytes;
    for (uint64_t at = range.start; at < range.end; at += size) {
      slices_.push_back({{{at, std::min(at + size, range.end)}, for_guards_only}, {}});
    }
  }
}

bool FrozenLook::is_worth_help(uint64_t bytes) { return bytes >= kWorthHelp; }

void FrozenLook::look_at(size_t part) {
  Slice& slice = slices_[part];
  if (slice.piece.for_guards_only) {
    slice.regions = find_guards(*pages_, slice.piece.range);
  } else {
    slice.regions =
        tracking_ != nullptr ? tracking_->changes(slice.piece.range) : find_absent(*pages_, slice.piece.range);
  }
}

void FrozenLook::look_at_all(Crew& crew) {
  if (is_worth_help(bytes_)) return crew.share(parts(), [this](size_t part) { look_at(part); });
  for (size_t part = 0; part < parts(); ++part) look_at(part);
}

Result<std::span<const FrozenLook::Slice>> FrozenLook::slices_of(sys::AddressRange piece) const {
  auto start = [](const Slice& slice) { return slice.piece.range.start; };
  auto first = std::ranges::lower_bound(slices_, piece.start, {}, start);
  auto last = std::ranges::lower_bound(first, slices_.end(), piece.end, {}, start);
  uint64_t looked_until = piece.start;
  for (auto slice = first; slice != last && slice->piece.range.start == looked_until; ++slice) {
    looked_until = slice->piece.range.end;
    if (!slice->regions) return std::unexpected(slice->regions.error());
  }
  if (looked_until != piece.end) return error(ErrorKind::gone, "memory that was not looked at");
  return std::span(first, last);
}

Result<FrozenLook::Changes> FrozenLook::in(sys::AddressRange piece) const {
  constexpr uint64_t kContent = sys::kPagePresent | sys::kPageSwapped;  // or just being moved by the kernel
  Changes changes;
  for (const Slice& slice : TRY(slices_of(piece))) {
    if (slice.piece.for_guards_only) return error(ErrorKind::gone, "memory of which only guard pages were looked for");
    for (const sys::PageRegion& region : *slice.regions) {
      if ((region.categories & sys::kPageGuard) != 0) {
        changes.guards.add(region.range);
      } else if ((region.categories & kContent) == 0 || (region.categories & sys::kPageZero) != 0) {
        changes.absent.push_back(region.range);
      } else if ((region.categories & sys::kPageWritten) != 0) {
        changes.written.push_back(region.range);
      }
    }
  }
  return changes;
}

Result<RangeSet> FrozenLook::guards_in(sys::AddressRange piece) const {
  RangeSet guards;
  for (const Slice& slice : TRY(slices_of(piece))) {
    for (const sys::PageRegion& region : *slice.regions) {
      if ((region.categories & sys::kPageGuard) != 0) guards.add(region.range);
    }
  }
  return guards;
}

}  // namespace godwit::address_space
