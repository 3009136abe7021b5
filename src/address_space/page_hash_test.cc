#include "address_space/page_hash.h"

#include <gtest/gtest.h>

#include <set>

namespace godwit::address_space {
namespace {

using Page = std::array<std::byte, PageHasher::kPageBytes>;

PageHasher with_key(uint64_t seed) {
  PageHasher::Key key;
  for (uint64_t& word : key) word = seed = seed * 6364136223846793005u + 1442695040888963407u;
  return PageHasher(key);
}

TEST(PageHash, EveryBitCounts) {
  PageHasher hash = with_key(1);
  Page page{};
  std::set<std::pair<uint64_t, uint64_t>> seen;
  auto see = [&] {
    PageHash now = hash(page);
    return seen.insert({now.low, now.high}).second;
  };
  EXPECT_TRUE(see());
  for (size_t bit = 0; bit < page.size() * 8; bit += 13) {
    page[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_TRUE(see()) << bit;
    page[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
}

TEST(PageHash, OrderCounts) {
  PageHasher hash = with_key(2);
  Page one{};
  Page other{};
  one[0] = other[16] = std::byte{7};
  EXPECT_NE(hash(one), hash(other));
}

TEST(PageHash, DependsOnTheKeyAlone) {
  Page page{};
  page[100] = std::byte{1};
  EXPECT_EQ(with_key(3)(page), with_key(3)(page));
  EXPECT_NE(with_key(3)(page), with_key(4)(page));
  EXPECT_NE(with_key(3)(Page{}), PageHash{});
}

}  // namespace
}  // namespace godwit::address_space
