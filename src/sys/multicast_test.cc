#include "sys/multicast.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace godwit::sys {
namespace {

TEST(Multicast, GroupsOfBothFamilies) {
  auto groups = parse_groups(
      "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
      "1\tlo        :     2      V3\n"
      "\t\t\t\t030201EF     1 0:00000000\t\t0\n"
      "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
      "2\teth0      :     1      V3\n"
      "\t\t\t\t010000E0     1 0:00000000\t\t0\n",
      "1    lo              ff020000000000000000000000000001     1 0000000C 0\n");
  ASSERT_EQ(groups.size(), 4u);
  sockaddr_in four;
  std::memcpy(&four, groups[0].address.data(), sizeof four);
  EXPECT_EQ(groups[0].interface, 1u);
  EXPECT_STREQ(inet_ntoa(four.sin_addr), "239.1.2.3");
  EXPECT_EQ(groups[2].interface, 2u);
  sockaddr_in6 six;
  ASSERT_EQ(groups[3].address.size(), sizeof six);
  std::memcpy(&six, groups[3].address.data(), sizeof six);
  EXPECT_EQ(six.sin6_addr.s6_addr[0], 0xff);
  EXPECT_EQ(six.sin6_addr.s6_addr[15], 1);
}

TEST(Multicast, NonsenseIsNoGroup) {
  EXPECT_TRUE(parse_groups("", "").empty());
  EXPECT_TRUE(parse_groups("\tzzzz 1\n\t010000E0 1\n", "1 lo ff02 1\nx\n").empty());
}

}  // namespace
}  // namespace godwit::sys
