// RangeSet: a set of addresses, kept as disjoint half-open ranges. Plain value; logarithmic in the number of ranges.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sys/process_memory.h"

namespace godwit::address_space {

class RangeSet {
 public:
  void add(sys::AddressRange range);
  void add(std::span<const sys::AddressRange> ranges) {
    for (const sys::AddressRange& range : ranges) add(range);
  }
  void remove(sys::AddressRange range);
  void clear() {
    ranges_.clear();
    bytes_ = 0;
  }
  bool empty() const { return ranges_.empty(); }
  bool contains(uint64_t address) const;
  // The parts of `range` that are in the set, or are not, by address.
  std::vector<sys::AddressRange> within(sys::AddressRange range) const;
  std::vector<sys::AddressRange> outside(sys::AddressRange range) const;
  // The same of many ranges, which are in order, in one walk.
  std::vector<sys::AddressRange> outside(std::span<const sys::AddressRange> ranges) const;
  // Whether it has at least so many parts there. Costs no more than counting them.
  bool has_many_within(sys::AddressRange range, size_t many) const;
  // The first stretch of the set at or behind `address`.
  std::optional<sys::AddressRange> first_from(uint64_t address) const;
  uint64_t bytes() const { return bytes_; }

 private:
  absl::btree_map<uint64_t, uint64_t> ranges_;  // start -> end
  uint64_t bytes_ = 0;
};

}  // namespace godwit::address_space
