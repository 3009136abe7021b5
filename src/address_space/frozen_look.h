// FrozenLook: what became of a stopped process's memory since it was last looked at, all of it in one look; where
// writes are not tracked, what there is.
//
// The look takes most of a freeze when the memory is large: one walk of the page tables tells what was written, what is
// no longer there and what is a guard page, and much memory is looked at by several processors, while the rest of the
// program's state is asked for.
#pragma once

#include <span>
#include <vector>

#include "address_space/range_set.h"
#include "address_space/write_tracking.h"
#include "base/crew.h"

namespace godwit::address_space {

class FrozenLook {
 public:
  // Of ordinary mappings (own_pages.h), in order of their addresses.
  struct Piece {
    sys::AddressRange range;
    bool for_guards_only = false;
  };
  // `tracking`: null where writes are not tracked. Nothing is looked at yet.
  FrozenLook(const sys::PageMap& pages, const WriteTracking* tracking, const std::vector<Piece>& pieces);

  // The look has this many parts, each to be looked at once, by any thread.
  size_t parts() const { return slices_.size(); }
  void look_at(size_t part);
  // All of them, shared if that is worth while.
  void look_at_all(Crew& crew);
  // Of that much memory it is.
  static bool is_worth_help(uint64_t bytes);

  struct Changes {
    std::vector<sys::AddressRange> written;  // and there
    std::vector<sys::AddressRange> absent;   // or nothing but zeros; by address, as all of them
    RangeSet guards;
  };
  // When all parts have been looked at. Errors: denied when writes to the piece were not tracked though others were,
  // gone when it is none of those, or was looked at for guard pages only.
  Result<Changes> in(sys::AddressRange piece) const;
  // The guard pages there. Errors: as in().
  Result<RangeSet> guards_in(sys::AddressRange piece) const;

 private:
  struct Slice {
    Piece piece;
    Result<std::vector<sys::PageRegion>> regions;
  };
  Result<std::span<const Slice>> slices_of(sys::AddressRange piece) const;
  const sys::PageMap* pages_;
  const WriteTracking* tracking_;
  uint64_t bytes_ = 0;
  std::vector<Slice> slices_;
};

}  // namespace godwit::address_space
