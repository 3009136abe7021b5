#include "address_space/owed_pages.h"

#include <gtest/gtest.h>

namespace godwit::address_space {
namespace {

TEST(OwedPages, AreReceivedOnce) {
  OwedPages owed;
  owed.add({0x1000, 0x4000});
  EXPECT_EQ(owed.owed_at(0x2000), 0x2000);
  owed.received({0x2000, 0x3000});
  EXPECT_EQ(owed.owed_at(0x2000), std::nullopt);
  auto parts = owed.parts({0x1000, 0x4000});
  ASSERT_EQ(parts.size(), 2);
  EXPECT_EQ(parts[1].now, 0x3000);
}

TEST(OwedPages, FollowAMovedMapping) {
  OwedPages owed;
  owed.add({0x1000, 0x5000});
  owed.moved({0x2000, 0x4000}, 0x9000);
  EXPECT_EQ(owed.owed_at(0x9000), 0x2000);
  EXPECT_EQ(owed.owed_at(0x2000), std::nullopt);
  EXPECT_EQ(owed.owed_at(0x1000), 0x1000);
  auto parts = owed.parts({0x1000, 0x5000});
  ASSERT_EQ(parts.size(), 3);
  EXPECT_EQ(parts[1].at_source, (sys::AddressRange{0x2000, 0x4000}));
  EXPECT_EQ(parts[1].now, 0x9000);
  EXPECT_EQ(parts[2].now, 0x4000);
}

TEST(OwedPages, FollowAMappingThatMovesBack) {
  OwedPages owed;
  owed.add({0x1000, 0x2000});
  owed.moved({0x1000, 0x2000}, 0x8000);
  owed.moved({0x8000, 0x9000}, 0x1000);
  EXPECT_EQ(owed.owed_at(0x1000), 0x1000);
  EXPECT_EQ(owed.owed_at(0x8000), std::nullopt);
  EXPECT_EQ(owed.parts({0x1000, 0x2000}).front().now, 0x1000);
}

TEST(OwedPages, AreForgottenWithTheMemory) {
  OwedPages owed;
  owed.add({0x1000, 0x5000});
  owed.moved({0x2000, 0x3000}, 0x9000);
  owed.given_up({0x9000, 0xa000});
  EXPECT_EQ(owed.owed_at(0x9000), std::nullopt);
  owed.given_up({0x1000, 0x5000});
  EXPECT_TRUE(owed.empty());
}

}  // namespace
}  // namespace godwit::address_space
