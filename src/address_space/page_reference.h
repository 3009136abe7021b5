// PageReference: content that the destination has already, named instead of sent.
//
// A known_pages frame is {u32 pid, u32 count, count x {u64 start, u64 end}}, the pages that get it, and then one
// reference for each; shared_memory_known is the same for pages of a memory object. A page of either may refer to one
// of the other. Whoever follows a reference uses what it finds there only if that has the SHA-256 told: it may be
// overwritten, torn or tampered with, or not have arrived yet. What it does not find it says before the end of the
// round, by such a frame of ranges alone, and the source sends it. Hence no order among frames is relied on, and
// references are of use in rounds only. Little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "address_space/page_owner.h"
#include "sys/hash.h"

namespace godwit::address_space {

struct PageReference {
  uint64_t at = 0;  // an address, an offset, or the number of a page in the cache
  PageOwner owner;  // who has it there; none: the cache that an earlier visit left
  sys::Sha256 digest{};

  bool is_cached() const { return owner.kind == PageOwner::Kind::none; }
  bool matches(std::span<const std::byte> page) const { return sys::sha256_digest(page) == digest; }
};
static_assert(sizeof(PageReference) == 48);

}  // namespace godwit::address_space
