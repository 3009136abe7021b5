#include "forwarding/published_ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::forwarding {
namespace {

using testing::HasSubstr;
using testing::Not;

NodePlace place() {
  NodePlace here;
  here.source4 = sys::parse_ip_address("10.77.1.3");
  here.version6 = true;
  here.uplink = "eth0";
  return here;
}

const std::vector<PublishedPort> kPorts = {{8080, VirtualAddress::of(1, 1), 80, false},
                                           {53, VirtualAddress::of(2, 1), 5353, true}};

TEST(PublishedPorts, LeadToTheJobsAddressesAndBackToThisNode) {
  std::string text = published_rules(place(), 3, kPorts);
  EXPECT_THAT(text, HasSubstr("add element inet godwit_published tcp4 { 8080 : 100.64.16.1 . 80 }"));
  EXPECT_THAT(text, HasSubstr("add element inet godwit_published udp4 { 53 : 100.64.32.1 . 5353 }"));
  EXPECT_THAT(text, HasSubstr("add element inet godwit_published tcp6 { 8080 : fd67:6f64:7769:1::1 . 80 }"));
  EXPECT_THAT(text, HasSubstr("ct status dnat snat ip to 10.77.1.3"));
  EXPECT_THAT(text, HasSubstr("ct status dnat snat ip6 to " + sys::to_string(node_address6(3))));
}

TEST(PublishedPorts, WhatIsTranslatedIsNotTranslatedAgain) {
  std::string text = published_rules(place(), 3, kPorts);
  EXPECT_THAT(text, HasSubstr("untracked ip daddr 100.64.0.0/10 notrack"));
  EXPECT_THAT(text, HasSubstr("untracked ip6 daddr fd67:6f64:7769::/48 notrack"));
}

TEST(PublishedPorts, NoneLeaveNothingBehind) {
  EXPECT_EQ(published_rules(place(), 3, {}), "add table inet godwit_published\ndelete table inet godwit_published\n");
}

TEST(PublishedPorts, ANodeWithoutVersion6HasNoRulesForIt) {
  NodePlace here = place();
  here.version6 = false;
  EXPECT_THAT(published_rules(here, 3, kPorts), Not(HasSubstr("ip6")));
}

}  // namespace
}  // namespace godwit::forwarding
