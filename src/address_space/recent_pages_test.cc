#include "address_space/recent_pages.h"

#include <gtest/gtest.h>

#include <vector>

namespace godwit::address_space {
namespace {

constexpr uint64_t kPage = RecentPages::kPageBytes;

std::vector<std::byte> page_of(unsigned char value) { return std::vector<std::byte>(kPage, std::byte{value}); }

constexpr PageOwner kOne = PageOwner::process(1), kTwo = PageOwner::process(2), kObject = PageOwner::object(1);

bool holds(const RecentPages& pages, PageOwner owner, uint64_t page, unsigned char value) {
  auto found = pages.find(owner, page);
  return !found.empty() && std::ranges::equal(found, page_of(value));
}

TEST(RecentPages, KeepsWhatTheDestinationHas) {
  RecentPages pages;
  EXPECT_TRUE(pages.find(kOne, kPage).empty());
  pages.keep(kOne, kPage, page_of(1));
  pages.keep(kTwo, kPage, page_of(2));
  pages.keep(kOne, kPage, page_of(3));
  EXPECT_TRUE(pages.find(kOne, kPage).empty());  // not acknowledged yet
  pages.next_round();
  EXPECT_TRUE(holds(pages, kOne, kPage, 3));
  EXPECT_TRUE(holds(pages, kTwo, kPage, 2));
  EXPECT_TRUE(pages.find(kObject, kPage).empty());
}

TEST(RecentPages, AProgramThatGoesAroundInMoreMemoryKeepsTheSamePages) {
  RecentPages pages;
  size_t found = 0;
  for (unsigned char round = 0; round < 5; ++round, pages.next_round()) {
    found = 0;
    for (uint64_t page = 0; page < 3 * RecentPages::kSlots; ++page) {
      found += pages.find(kOne, page * kPage).empty() ? 0 : 1;
      pages.keep(kOne, page * kPage, page_of(round));
    }
  }
  EXPECT_EQ(found, RecentPages::kSlots);
}

TEST(RecentPages, WhatIsIdleMakesRoom) {
  RecentPages pages;
  uint64_t same_slot = RecentPages::kSlots * kPage;
  pages.keep(kOne, 0, page_of(1));
  pages.next_round();
  pages.keep(kOne, same_slot, page_of(2));
  EXPECT_TRUE(holds(pages, kOne, 0, 1));
  EXPECT_TRUE(pages.find(kOne, same_slot).empty());
  pages.next_round();
  pages.keep(kOne, same_slot, page_of(3));
  pages.next_round();
  EXPECT_TRUE(pages.find(kOne, 0).empty());
  EXPECT_TRUE(holds(pages, kOne, same_slot, 3));
}

TEST(RecentPages, ForgetsRangesOfOneOwner) {
  RecentPages pages;
  for (PageOwner owner : {kOne, kTwo, kObject}) {
    for (uint64_t page = 0; page < 4; ++page) pages.keep(owner, page * kPage, page_of(1));
  }
  pages.next_round();
  pages.forget(kOne, {kPage, 3 * kPage});
  EXPECT_TRUE(holds(pages, kOne, 0, 1) && holds(pages, kOne, 3 * kPage, 1));
  EXPECT_TRUE(pages.find(kOne, kPage).empty() && pages.find(kOne, 2 * kPage).empty());
  EXPECT_TRUE(holds(pages, kTwo, kPage, 1) && holds(pages, kObject, kPage, 1));
  pages.forget(kTwo, sys::kEverywhere);
  EXPECT_TRUE(pages.find(kTwo, 0).empty());
  EXPECT_TRUE(holds(pages, kOne, 0, 1));
}

TEST(RecentPages, ExclusiveOrIsUndoneByItself) {
  std::vector<std::byte> now = page_of(5), before = page_of(5);
  now[100] = std::byte{6};
  now[101] = std::byte{7};
  now[4095] = std::byte{8};
  std::vector<std::byte> wanted = now;
  EXPECT_EQ(exclusive_or(now, before), 2U);
  exclusive_or(before, now);
  EXPECT_EQ(before, wanted);
}

}  // namespace
}  // namespace godwit::address_space
