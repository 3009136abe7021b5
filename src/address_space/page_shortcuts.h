// PageShortcuts: pages that need not be sent whole, because the destination has their content already, or nearly.
//
// Asked for each page before it is sent: a reference (known_content.h), while the program runs, or a difference
// (recent_pages.h), when the link is slower than making one, also in the freeze. One thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "address_space/known_content.h"
#include "address_space/page_frame.h"
#include "address_space/recent_pages.h"
#include "base/result.h"
#include "transport/compression.h"
#include "transport/connection.h"

namespace godwit::address_space {

class PageShortcuts {
 public:
  struct Counts {
    uint64_t identical = 0, cached = 0;      // pages, by reference
    uint64_t by_delta = 0, delta_bytes = 0;  // pages, and what they took
  };

  static Result<std::unique_ptr<PageShortcuts>> create();
  void set_cached(std::vector<uint64_t> beginnings) { known_.set_cached(std::move(beginnings)); }

  struct Page {
    KnownContent::Place place;
    bool stays;  // as it was sent, at the destination, until it is sent again: not so where a file may show through
    KnownContent::Page content;
  };
  // Whether the page goes as a reference or a difference, with the next send_gathered(). If not it is sent now, and
  // that is noted. `link_seconds`: that a page takes; 0: not known.
  bool take(const Page& page, bool running, double link_seconds);
  // What was taken since, at most kChunkBytes of pages of one owner. Returns how many went as differences.
  Result<uint64_t> send_gathered(PageOwner owner, transport::Connection& connection);

  // What the destination had of these pages is no longer there, or another content.
  void forget(PageOwner owner, sys::AddressRange range) { recent_.forget(owner, range); }
  // The destination has acknowledged everything, or will have put it in place before it gets what follows.
  void next_round();
  // No references any more: nobody will tell what they were lacking.
  void stop_referring() { trusted_ = false; }
  // Of the pages referred to so many were not there: they are still to be sent.
  void found_lacking(uint64_t pages);
  const Counts& counts() const { return counts_; }
  // Whether there are references among what was taken to content that was sent before.
  bool refers_to_memory() const;
  uint64_t references() const { return counts_.identical + counts_.cached; }

 private:
  explicit PageShortcuts(KnownContent known) : known_(std::move(known)) {}
  bool take_difference(const Page& page, bool running);
  bool take_reference(const Page& page, double link_seconds);

  KnownContent known_;
  RecentPages recent_;
  bool first_round_ = true;
  bool trusted_ = true;  // references are mostly right
  Counts counts_;
  // Gathered.
  std::vector<sys::AddressRange> referring_;
  std::vector<PageReference> references_;
  std::vector<sys::AddressRange> differing_;
  std::vector<std::byte> differences_;
  uint64_t check_ = 0;  // of the differing pages, see add_to_check()
  std::vector<std::byte> packed_;
  transport::Compressor compressor_;
};

// Folds a page into a check of several: XXH3 of each, in order.
uint64_t add_to_check(uint64_t check, std::span<const std::byte> page);

}  // namespace godwit::address_space
