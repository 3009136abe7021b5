#include "address_space/range_set.h"

#include <gtest/gtest.h>

#include <bitset>
#include <random>

namespace godwit::address_space {
namespace {

using sys::AddressRange;
using Ranges = std::vector<AddressRange>;

TEST(RangeSet, JoinsWhatTouches) {
  RangeSet set;
  set.add({10, 20});
  set.add({30, 40});
  set.add({20, 30});
  EXPECT_EQ(set.within({0, 100}), (Ranges{{10, 40}}));
  EXPECT_EQ(set.bytes(), 30);
}

TEST(RangeSet, SplitsWhatIsCut) {
  RangeSet set;
  set.add({10, 40});
  set.remove({20, 30});
  EXPECT_EQ(set.within({0, 100}), (Ranges{{10, 20}, {30, 40}}));
  EXPECT_EQ(set.outside({0, 50}), (Ranges{{0, 10}, {20, 30}, {40, 50}}));
  EXPECT_TRUE(set.contains(10));
  EXPECT_FALSE(set.contains(20));
}

TEST(RangeSet, AgreesWithASetOfBits) {
  constexpr size_t kSize = 256;
  std::mt19937 random(7);
  RangeSet set;
  std::bitset<kSize> bits;
  for (int step = 0; step < 5000; ++step) {
    uint64_t a = random() % kSize;
    uint64_t b = random() % kSize;
    AddressRange range{std::min(a, b), std::max(a, b)};
    bool add = random() % 2 == 0;
    if (add) {
      set.add(range);
    } else {
      set.remove(range);
    }
    for (uint64_t i = range.start; i < range.end; ++i) bits[i] = add;
    ASSERT_EQ(set.bytes(), bits.count());
    for (uint64_t i = 0; i < kSize; ++i) ASSERT_EQ(set.contains(i), bits[i]) << step;
  }
}

TEST(RangeSet, ManyRangesAtOnceAreLikeOneAfterTheOther) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    RangeSet set;
    for (int i = 0; i < 12; ++i) {
      uint64_t start = random() % 200;
      set.add({start, start + random() % 12});
    }
    Ranges ranges;
    for (uint64_t at = random() % 20; at < 190;) {
      uint64_t end = at + 1 + random() % 30;
      ranges.push_back({at, end});
      at = end + random() % 10;
    }
    Ranges one_by_one;
    for (const sys::AddressRange& range : ranges) {
      for (const sys::AddressRange& part : set.outside(range)) one_by_one.push_back(part);
    }
    ASSERT_EQ(set.outside(ranges), one_by_one);
  }
  EXPECT_TRUE(RangeSet().outside(Ranges()).empty());
}

TEST(RangeSet, TellsWhetherThereAreManyParts) {
  RangeSet set;
  for (uint64_t start = 0; start < 0x8000; start += 0x2000) set.add({start, start + 0x1000});
  EXPECT_TRUE(set.has_many_within({0, 0x8000}, 4));
  EXPECT_FALSE(set.has_many_within({0, 0x8000}, 5));
  EXPECT_TRUE(set.has_many_within({0x2800, 0x4800}, 2));
  EXPECT_FALSE(set.has_many_within({0x3000, 0x4000}, 1));
  EXPECT_TRUE(set.has_many_within({0x3000, 0x4000}, 0));
}

TEST(RangeSet, IsEmptyAfterClear) {
  RangeSet set;
  set.add({0x1000, 0x3000});
  set.clear();
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.bytes(), 0u);
}

}  // namespace
}  // namespace godwit::address_space
