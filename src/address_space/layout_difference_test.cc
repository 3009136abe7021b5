#include <gtest/gtest.h>
#include <sys/mman.h>

#include "address_space/skeleton_memory.h"

namespace godwit::address_space {
namespace {

image::Mapping anonymous(uint64_t start, uint64_t end, uint32_t protection = PROT_READ | PROT_WRITE) {
  image::Mapping mapping;
  mapping.set_start(start);
  mapping.set_end(end);
  mapping.set_protection(protection);
  mapping.set_flags(MAP_PRIVATE | MAP_ANONYMOUS);
  return mapping;
}

image::Mapping of_file(uint64_t start, uint64_t end, uint64_t offset) {
  image::Mapping mapping = anonymous(start, end);
  mapping.set_kind(image::Mapping::FILE);
  mapping.set_flags(MAP_PRIVATE);
  mapping.set_offset(offset);
  return mapping;
}

std::vector<std::pair<uint64_t, uint64_t>> ranges(const std::vector<image::Mapping>& mappings) {
  std::vector<std::pair<uint64_t, uint64_t>> result;
  for (const auto& mapping : mappings) result.emplace_back(mapping.start(), mapping.end());
  return result;
}

using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;

TEST(LayoutDifference, NothingBetweenEqualLayouts) {
  std::vector<image::Mapping> layout{anonymous(0x1000, 0x3000), of_file(0x5000, 0x9000, 0x2000)};
  EXPECT_TRUE(layout_difference(layout, layout).empty());
}

TEST(LayoutDifference, AHeapThatGrewLacksItsEndOnly) {
  std::vector<image::Mapping> before{anonymous(0x1000, 0x3000)};
  std::vector<image::Mapping> after{anonymous(0x1000, 0x7000)};
  EXPECT_EQ(ranges(layout_difference(after, before)), (Ranges{{0x3000, 0x7000}}));
  EXPECT_TRUE(layout_difference(before, after).empty());
}

TEST(LayoutDifference, AHoleAndAnotherProtection) {
  std::vector<image::Mapping> before{anonymous(0x1000, 0x9000)};
  std::vector<image::Mapping> after{anonymous(0x1000, 0x3000), anonymous(0x4000, 0x5000, PROT_READ),
                                    anonymous(0x5000, 0x9000)};
  EXPECT_EQ(ranges(layout_difference(before, after)), (Ranges{{0x3000, 0x5000}}));
  EXPECT_EQ(ranges(layout_difference(after, before)), (Ranges{{0x4000, 0x5000}}));
}

TEST(LayoutDifference, TheSameFileAtAnotherOffsetIsAnotherThing) {
  std::vector<image::Mapping> before{of_file(0x1000, 0x5000, 0)};
  std::vector<image::Mapping> split{of_file(0x1000, 0x2000, 0), of_file(0x2000, 0x5000, 0x1000)};
  std::vector<image::Mapping> shifted{of_file(0x1000, 0x5000, 0x1000)};
  EXPECT_TRUE(layout_difference(before, split).empty());
  EXPECT_EQ(ranges(layout_difference(before, shifted)), (Ranges{{0x1000, 0x5000}}));
}

TEST(FindCommonGap, AvoidsEverySpace) {
  image::AddressSpace one, two;
  *one.add_mappings() = anonymous(0x7f0000000000, 0x7f0000001000);
  *two.add_mappings() = anonymous(0x400000000000, 0x400000001000);
  auto gap = find_common_gap({&one, &two}, 1 << 18);
  ASSERT_TRUE(gap);
  EXPECT_TRUE(value(*gap) + (1 << 18) < 0x7f0000000000 && value(*gap) > (uint64_t{1} << 32));
  EXPECT_TRUE(value(*gap) + (1 << 18) < 0x400000000000 || value(*gap) > 0x400000001000);
}

TEST(CheckLayout, RefusesWhatOverlapsOrIsNotAligned) {
  image::AddressSpace space;
  *space.add_mappings() = anonymous(0x1000, 0x3000);
  EXPECT_TRUE(check_layout(space));
  *space.add_mappings() = anonymous(0x2000, 0x4000);
  EXPECT_FALSE(check_layout(space));
  space.mutable_mappings(1)->set_start(0x3001);
  EXPECT_FALSE(check_layout(space));
}

TEST(LayoutDifference, MemoryOfThePoolIsAnotherThingAndLiesInItsOwnPages) {
  constexpr uint64_t kPage = 2 << 20;
  image::Mapping ordinary = anonymous(kPage, 3 * kPage);
  image::Mapping of_pool = ordinary;
  of_pool.set_page_bytes(kPage);
  EXPECT_EQ(ranges(layout_difference({of_pool}, {ordinary})), (Ranges{{kPage, 3 * kPage}}));
  image::AddressSpace space;
  *space.add_mappings() = of_pool;
  EXPECT_TRUE(check_layout(space));
  space.mutable_mappings(0)->set_end(3 * kPage - 0x1000);
  EXPECT_FALSE(check_layout(space));
  space.mutable_mappings(0)->set_end(3 * kPage);
  for (uint64_t impossible : {uint64_t{3}, uint64_t{2048}, uint64_t{3} << 20}) {
    space.mutable_mappings(0)->set_page_bytes(impossible);
    EXPECT_FALSE(check_layout(space));
  }
}

}  // namespace
}  // namespace godwit::address_space
