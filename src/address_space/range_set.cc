#include "address_space/range_set.h"

#include <algorithm>
#include <iterator>

namespace godwit::address_space {

namespace {

// The first range that ends behind `address`.
template <class Map>
auto first_behind(Map& ranges, uint64_t address) {
  auto it = ranges.upper_bound(address);
  if (it != ranges.begin() && std::prev(it)->second > address) return std::prev(it);
  return it;
}

}  // namespace

void RangeSet::add(sys::AddressRange range) {
  if (range.start >= range.end) return;
  bool behind_all = ranges_.empty() || std::prev(ranges_.end())->second < range.start;
  if (behind_all) {
    ranges_.emplace_hint(ranges_.end(), range.start, range.end);
    bytes_ += range.size();
    return;
  }
  remove(range);
  bytes_ += range.size();
  uint64_t start = range.start;
  uint64_t end = range.end;
  auto next = ranges_.lower_bound(range.start);
  if (next != ranges_.end() && next->first == end) {
    end = next->second;
    next = ranges_.erase(next);
  }
  if (next != ranges_.begin() && std::prev(next)->second == start) {
    start = std::prev(next)->first;
    ranges_.erase(std::prev(next));
  }
  ranges_[start] = end;
}

void RangeSet::remove(sys::AddressRange range) {
  auto it = first_behind(ranges_, range.start);
  while (it != ranges_.end() && it->first < range.end) {
    auto [start, end] = *it;
    bytes_ -= std::min(end, range.end) - std::max(start, range.start);
    ranges_.erase(it);
    if (start < range.start) ranges_[start] = range.start;
    if (end > range.end) ranges_[range.end] = end;
    it = ranges_.lower_bound(range.start);
  }
}

bool RangeSet::contains(uint64_t address) const {
  auto it = first_behind(ranges_, address);
  return it != ranges_.end() && it->first <= address;
}

std::vector<sys::AddressRange> RangeSet::within(sys::AddressRange range) const {
  std::vector<sys::AddressRange> parts;
  for (auto it = first_behind(ranges_, range.start); it != ranges_.end() && it->first < range.end; ++it) {
    parts.push_back({std::max(it->first, range.start), std::min(it->second, range.end)});
  }
  return parts;
}

bool RangeSet::has_many_within(sys::AddressRange range, size_t many) const {
  size_t found = 0;
  for (auto it = first_behind(ranges_, range.start); it != ranges_.end() && it->first < range.end && found < many;
       ++it) {
    ++found;
  }
  return found >= many;
}

std::optional<sys::AddressRange> RangeSet::first_from(uint64_t address) const {
  auto it = first_behind(ranges_, address);
  if (it == ranges_.end()) return std::nullopt;
  return sys::AddressRange{std::max(it->first, address), it->second};
}

std::vector<sys::AddressRange> RangeSet::outside(sys::AddressRange range) const {
  return outside(std::span(&range, 1));
}

std::vector<sys::AddressRange> RangeSet::outside(std::span<const sys::AddressRange> ranges) const {
  std::vector<sys::AddressRange> parts;
  if (ranges.empty()) return parts;
  auto inside = first_behind(ranges_, ranges.front().start);
  for (const sys::AddressRange& range : ranges) {
    uint64_t at = range.start;
    for (; inside != ranges_.end() && inside->first < range.end; ++inside) {
      if (inside->first > at) parts.push_back({at, inside->first});
      at = std::max(at, inside->second);
      if (inside->second > range.end) break;  // it goes on in the next
    }
    if (at < range.end) parts.push_back({at, range.end});
  }
  return parts;
}

}  // namespace godwit::address_space
