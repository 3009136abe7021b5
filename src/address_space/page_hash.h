// A hash of a page by a secret key, to find out whether two pages, or one page at two times, hold the same.
//
// NH of 128 bits over 64-bit words: two different pages have the same hash with probability 2^-64 for whoever does not
// know the key, which is made for one migration and leaves no process. Source: Black, Halevi, Krawczyk, Krovetz,
// Rogaway, "UMAC: Fast and Secure Message Authentication", CRYPTO 1999, section 3.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "sys/process_memory.h"

namespace godwit::address_space {

struct PageHash {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const PageHash&) const = default;
};

class PageHasher {
 public:
  static constexpr size_t kPageBytes = 4096;
  using Key = std::array<uint64_t, kPageBytes / 8>;

  explicit PageHasher(const Key& key) : key_(key) {}
  static Result<PageHasher> with_random_key();
  // Never the hash {0, 0}, which so can stand for no page at all.
  PageHash operator()(std::span<const std::byte, kPageBytes> page) const;

 private:
  Key key_;
};

}  // namespace godwit::address_space
