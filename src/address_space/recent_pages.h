// RecentPages: what the destination has of pages that are written again and again, so that only the difference travels.
//
// Bounded: 4,096 pages, 16 MiB, allocated when the first one is kept. A page stays until it has not been sent for two
// rounds: a program that goes around in more memory than that keeps the same pages in here, not none. A delta_pages
// frame is {u32 pid, u32 count, count x {u64 start, u64 end}}, {u32 codec, u32 zero}, {u64 XXH3 of the pages as they
// become}, and the compressed exclusive or of all pages with what the destination has of them; shared_memory_delta is
// the same for pages of a memory object. It relies on this: what is found here was acknowledged at the end of an
// earlier round, or is put in place before what follows, and whatever else becomes of a page at the destination is told
// of by forget(). The hash finds out if that is not so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "address_space/page_owner.h"
#include "sys/process_memory.h"

namespace godwit::address_space {

// Makes `page` the exclusive or of itself and `other`, of the same size. Returns how many 64-bit words differ.
// Requires: whole words.
size_t exclusive_or(std::span<std::byte> page, std::span<const std::byte> other);

class RecentPages {
 public:
  static constexpr size_t kPageBytes = 4096;
  static constexpr size_t kSlots = 4096;

  void next_round() { ++round_; }
  // What the destination has of the page since an earlier round; empty when that is not known.
  std::span<const std::byte> find(PageOwner owner, uint64_t page) const;
  // The destination gets this content now. Keeps it if there is room, and forgets what it had before in any case.
  void keep(PageOwner owner, uint64_t page, std::span<const std::byte> content);
  void forget(PageOwner owner, sys::AddressRange range);
  bool empty() const { return slots_.empty(); }

 private:
  struct Slot {
    PageOwner owner;  // none: nothing
    uint64_t page = 0;
    uint64_t round = 0;  // it was kept in
  };
  static size_t index_of(PageOwner owner, uint64_t page);
  std::span<std::byte> content_of(size_t index) { return std::span(content_).subspan(index * kPageBytes, kPageBytes); }

  uint64_t round_ = 0;
  std::vector<Slot> slots_;
  std::vector<std::byte> content_;
};

}  // namespace godwit::address_space
