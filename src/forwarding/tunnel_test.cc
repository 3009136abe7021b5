#include "forwarding/tunnel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::forwarding {
namespace {

using testing::HasSubstr;

TEST(TunnelUseTest, HasThreeNames) {
  EXPECT_EQ(*parse_tunnel_use("auto"), TunnelUse::automatic);
  EXPECT_EQ(*parse_tunnel_use("always"), TunnelUse::always);
  EXPECT_EQ(*parse_tunnel_use("never"), TunnelUse::never);
  for (const char* text : {"", "on", "Auto"}) EXPECT_FALSE(parse_tunnel_use(text)) << text;
}

TEST(TunnelRulesTest, TakeNothingFromStrangersAndNothingButJobsMessages) {
  std::string text = tunnel_rules(7708);
  EXPECT_THAT(text, HasSubstr("udp dport 7708 ip saddr != @nodes drop"));
  EXPECT_THAT(text, HasSubstr("udp dport 7708 meta nfproto ipv6 drop"));
  EXPECT_THAT(text, HasSubstr("ip daddr 100.64.0.0/10 accept"));
  EXPECT_LT(text.find("ip6 daddr fd67:6f64:7769::/48 accept"), text.find("unwrapped drop\n"));
}

}  // namespace
}  // namespace godwit::forwarding
