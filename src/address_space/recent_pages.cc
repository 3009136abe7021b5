#include "address_space/recent_pages.h"

#include <algorithm>
#include <cstring>

namespace godwit::address_space {

namespace {

constexpr uint64_t kIdleRounds = 2;

}  // namespace

size_t exclusive_or(std::span<std::byte> page, std::span<const std::byte> other) {
  size_t different = 0;
  for (size_t at = 0; at < page.size(); at += sizeof(uint64_t)) {
    uint64_t a, b;
    std::memcpy(&a, &page[at], sizeof a);
    std::memcpy(&b, &other[at], sizeof b);
    a ^= b;
    different += a != 0 ? 1 : 0;
    std::memcpy(&page[at], &a, sizeof a);
  }
  return different;
}

// Neighbours have slots of their own.
size_t RecentPages::index_of(PageOwner owner, uint64_t page) {
  uint64_t whose = static_cast<uint64_t>(owner.kind) << 32 | owner.id;
  return (page / kPageBytes + (whose * 0x9e3779b97f4a7c15 >> 32)) % kSlots;
}

std::span<const std::byte> RecentPages::find(PageOwner owner, uint64_t page) const {
  if (slots_.empty()) return {};
  size_t index = index_of(owner, page);
  const Slot& slot = slots_[index];
  if (slot.owner != owner || slot.page != page || slot.round == round_) return {};
  return std::span(content_).subspan(index * kPageBytes, kPageBytes);
}

void RecentPages::keep(PageOwner owner, uint64_t page, std::span<const std::byte> content) {
  if (slots_.empty()) {
    slots_.resize(kSlots);
    content_.resize(kSlots * kPageBytes);
  }
  size_t index = index_of(owner, page);
  Slot& slot = slots_[index];
  bool same = slot.owner == owner && slot.page == page;
  if (!same && slot.owner != PageOwner() && slot.round + kIdleRounds > round_) return;
  slot = {owner, page, round_};
  std::ranges::copy(content, content_of(index).begin());
}

void RecentPages::forget(PageOwner owner, sys::AddressRange range) {
  if (slots_.empty()) return;
  if (range.size() / kPageBytes >= kSlots) {
    for (Slot& slot : slots_) {
      if (slot.owner == owner && slot.page >= range.start && slot.page < range.end) slot = {};
    }
    return;
  }
  for (uint64_t page = range.start; page < range.end; page += kPageBytes) {
    Slot& slot = slots_[index_of(owner, page)];
    if (slot.owner == owner && slot.page == page) slot = {};
  }
}

}  // namespace godwit::address_space
