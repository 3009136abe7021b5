#include "sys/raw_peer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace godwit::sys {
namespace {

constexpr std::string_view kRaw =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
    "drops\n"
    "   1: 0100007F:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 70001 2 "
    "0000000000000000 0\n"
    "   1: 0100007F:0001 0200000A:0000 01 00000000:00000000 00:00000000 00000000     0        0 70002 2 "
    "0000000000000000 0\n";
constexpr std::string_view kRaw6 =
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
    "tm->when "
    "retrnsmt   uid  timeout inode ref pointer drops\n"
    "   58: 00000000000000000000000001000000:003A 00000000000000000000000001000000:0000 01 00000000:00000000 "
    "00:00000000 00000000     0        0 70003 2 0000000000000000 0\n";

TEST(RawPeer, FourAndSix) {
  EXPECT_EQ(parse_raw_peer(kRaw, AF_INET, 70001), "");
  EXPECT_EQ(parse_raw_peer(kRaw, AF_INET, 70009), "");
  sockaddr_in four{};
  std::string told = parse_raw_peer(kRaw, AF_INET, 70002);
  ASSERT_EQ(told.size(), sizeof four);
  std::memcpy(&four, told.data(), sizeof four);
  EXPECT_EQ(four.sin_family, AF_INET);
  EXPECT_EQ(four.sin_addr.s_addr, htonl(0x0a000002));
  sockaddr_in6 six{};
  told = parse_raw_peer(kRaw6, AF_INET6, 70003);
  ASSERT_EQ(told.size(), sizeof six);
  std::memcpy(&six, told.data(), sizeof six);
  EXPECT_TRUE(IN6_IS_ADDR_LOOPBACK(&six.sin6_addr));
  EXPECT_EQ(parse_raw_peer("nonsense\n", AF_INET, 0), "");
}

}  // namespace
}  // namespace godwit::sys
