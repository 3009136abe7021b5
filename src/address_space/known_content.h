// KnownContent: which pages the destination has the content of, so that a reference will do: at another place of the
// job, where it was sent before in this move, or in the cache that an earlier visit left there.
//
// What is found is a guess: the page may have been overwritten there since. See page_reference.h for why that is safe.
// Hashing has to pay. Of the cache every page is looked up while that finds something, else one in sixteen. Identical
// pages are looked for when the link is slower than the hash that a reference needs; in samples, and everywhere while
// these find some. A sample is the same page for the same content, so that both of a pair are in it, and a run of
// neighbours now and then. One thread only; not for use in the freeze.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "address_space/page_hash.h"
#include "address_space/page_reference.h"
#include "base/result.h"

namespace godwit::address_space {

class KnownContent {
 public:
  using Page = std::span<const std::byte, PageHasher::kPageBytes>;
  struct Place {
    PageOwner owner;
    int here;  // how it is read: the process's pid here, or a descriptor of the object
    uint64_t at;
  };

  static Result<KnownContent> create();
  // What the destination has in its cache, in the order there: the first eight bytes of each page's SHA-256. Called
  // once, before the first find().
  void set_cached(std::vector<uint64_t> beginnings);
  // A reference to the content of `page`, which is at `place`, if the destination is likely to have it; otherwise the
  // page is remembered as sent. `link_seconds`: that sending a page takes.
  std::optional<PageReference> find(const Place& place, Page page, double link_seconds);

 private:
  // How often looking has found something of late.
  struct Share {
    uint32_t looked = 0, found = 0;
    void add(bool success);
    bool below(uint32_t one_in) const { return looked >= kEnough && found * one_in < looked; }
    static constexpr uint32_t kEnough = 256;
  };
  struct Sent {
    PageHash hash;
    Place place;
  };
  explicit KnownContent(const PageHasher& hasher) : hasher_(hasher) {}
  bool worth_looking_up();
  std::optional<PageReference> find_cached(Page page);
  bool worth_hashing(Page page, double link_seconds);
  std::optional<PageReference> find_identical(const Place& place, Page page);
  sys::Sha256 digest_of(Page page);

  PageHasher hasher_;
  struct Cached {
    uint64_t beginning;
    uint32_t number;
  };
  std::vector<Cached> cached_;        // by beginning
  std::vector<uint64_t> beginnings_;  // by number
  uint32_t next_ = 0;                 // the number behind the one found last
  Share share_cached_;
  std::vector<Sent> sent_;  // by hash; the last one for each slot
  Share share_identical_;
  uint64_t pages_ = 0;             // seen
  double digest_seconds_ = 20e-6;  // that hashing a page takes: the least seen
};

}  // namespace godwit::address_space
