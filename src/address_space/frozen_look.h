// FrozenLook: what became of a stopped process's tracked memory since it was last looked at, all of it in one look.
//
// The look takes most of a freeze when the memory is large: one walk of the page tables tells what was written, what is
// no longer there and what is a guard page, and much memory is looked at by several processors.
#pragma once

#include <vector>

#include "address_space/range_set.h"
#include "address_space/write_tracking.h"
#include "base/crew.h"

namespace godwit::address_space {

class FrozenLook {
 public:
  // `pieces` are of anonymous mappings, by address.
  FrozenLook(const WriteTracking& tracking, const std::vector<sys::AddressRange>& pieces, Crew& crew);

  struct Changes {
    std::vector<sys::AddressRange> written;  // and there
    std::vector<sys::AddressRange> absent;   // by address, as all of them
    RangeSet guards;
  };
  // Of one of the pieces. Errors: denied when writes to it were not tracked.
  Result<Changes> in(sys::AddressRange piece) const;

 private:
  struct Slice {
    sys::AddressRange range;
    Result<std::vector<sys::PageRegion>> regions;
  };
  std::vector<Slice> slices_;
};

}  // namespace godwit::address_space
