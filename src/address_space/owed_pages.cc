#include "address_space/owed_pages.h"

#include <algorithm>
#include <ranges>

namespace godwit::address_space {

namespace {

bool lies_in(uint64_t address, sys::AddressRange range) { return address >= range.start && address < range.end; }

}  // namespace

uint64_t OwedPages::place_now(uint64_t at_source) const {
  uint64_t place = at_source;
  for (const Move& move : moves_) {
    if (lies_in(place, move.from)) place = move.to + (place - move.from.start);
  }
  return place;
}

std::optional<uint64_t> OwedPages::owed_at(uint64_t now) const {
  uint64_t place = now;
  for (const Move& move : moves_ | std::views::reverse) {
    if (lies_in(place, {move.to, move.to + move.from.size()})) {
      place = move.from.start + (place - move.to);
    } else if (lies_in(place, move.from)) {
      return std::nullopt;  // something new, where a mapping was before it moved
    }
  }
  if (!owed_.contains(place)) return std::nullopt;
  return place;
}

uint64_t OwedPages::stretch_end(uint64_t at_source, uint64_t end) const {
  uint64_t place = at_source;
  for (const Move& move : moves_) {
    uint64_t length = end - at_source;
    if (lies_in(place, move.from)) {
      end = std::min(end, at_source + (move.from.end - place));
      place = move.to + (place - move.from.start);
    } else if (move.from.start > place && move.from.start < place + length) {
      end = at_source + (move.from.start - place);
    }
  }
  return end;
}

std::vector<OwedPages::Part> OwedPages::parts(sys::AddressRange at_source) const {
  std::vector<Part> parts;
  for (sys::AddressRange range : owed_.within(at_source)) {
    while (range.start < range.end) {
      uint64_t end = stretch_end(range.start, range.end);
      parts.push_back({{range.start, end}, place_now(range.start)});
      range.start = end;
    }
  }
  return parts;
}

void OwedPages::moved(sys::AddressRange from, uint64_t to) { moves_.push_back({from, to}); }

void OwedPages::given_up(sys::AddressRange now) {
  for (const Part& part : parts({0, UINT64_MAX})) {
    uint64_t start = std::max(part.now, now.start);
    uint64_t end = std::min(part.now + part.at_source.size(), now.end);
    if (start >= end) continue;
    uint64_t from = part.at_source.start + (start - part.now);
    owed_.remove({from, from + (end - start)});
  }
}

}  // namespace godwit::address_space
