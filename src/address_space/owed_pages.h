// OwedPages: the pages of one process that are still at the source, while the program already runs here (post-copy).
//
// Addresses on the wire are the source's. The program may have moved mappings (mremap) or given up memory since; both
// are followed here. Plain value; used under its owner's lock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "address_space/range_set.h"

namespace godwit::address_space {

class OwedPages {
 public:
  void add(sys::AddressRange at_source) { owed_.add(at_source); }
  bool empty() const { return owed_.empty(); }
  // Whether something is owed there, as the mappings were at the switchover.
  bool owes_in(sys::AddressRange at_source) const {
    auto first = owed_.first_from(at_source.start);
    return first && first->start < at_source.end;
  }
  uint64_t bytes() const { return owed_.bytes(); }
  std::vector<sys::AddressRange> within(sys::AddressRange at_source) const { return owed_.within(at_source); }
  std::vector<sys::AddressRange> ranges() const { return within(sys::kEverywhere); }  // at the source

  // Where the page at `now` is owed from; nothing when none is owed there.
  std::optional<uint64_t> owed_at(uint64_t now) const;
  // The parts of `at_source` that are still owed, each with where it belongs now.
  struct Part {
    sys::AddressRange at_source;
    uint64_t now;
  };
  std::vector<Part> parts(sys::AddressRange at_source) const;
  void received(sys::AddressRange at_source) { owed_.remove(at_source); }

  // What the program did: moved a mapping; gave up memory, so that what was owed there is owed no more.
  void moved(sys::AddressRange from, uint64_t to);
  void given_up(sys::AddressRange now);

 private:
  struct Move {
    sys::AddressRange from;
    uint64_t to;
  };
  uint64_t place_now(uint64_t at_source) const;
  // The end of the stretch from `at_source` on that lies together now, at most `end`.
  uint64_t stretch_end(uint64_t at_source, uint64_t end) const;

  RangeSet owed_;
  std::vector<Move> moves_;  // oldest first
};

}  // namespace godwit::address_space
