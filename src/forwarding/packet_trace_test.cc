#include "forwarding/packet_trace.h"

#include <gtest/gtest.h>

namespace godwit::forwarding {
namespace {

TEST(PassageTest, FollowsFromTheInterface) {
  EXPECT_EQ(passage_of("eth0", true, "eth0"), Passage::left);
  EXPECT_EQ(passage_of("eth0", false, "eth0"), Passage::arrived);
  EXPECT_EQ(passage_of(kTunnel, true, "eth0"), Passage::left);
  EXPECT_EQ(passage_of(kTunnel, false, "eth0"), Passage::arrived);
  EXPECT_EQ(passage_of("gw1.7", true, "eth0"), Passage::delivered);
  EXPECT_EQ(passage_of("gw1023.4095", false, "eth0"), Passage::sent);
  EXPECT_EQ(passage_of(kWaitingRoomOut, false, "eth0"), Passage::waited);
  EXPECT_EQ(passage_of(kWaitingRoomIn, true, "eth0"), std::nullopt);
  EXPECT_EQ(passage_of("gwenda", true, "eth0"), Passage::other);
  EXPECT_EQ(passage_of("docker0", false, "eth0"), Passage::other);
}

}  // namespace
}  // namespace godwit::forwarding
