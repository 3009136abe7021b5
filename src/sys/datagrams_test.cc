#include "sys/datagrams.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace godwit::sys {
namespace {

std::string four(const char* address, uint16_t port) {
  sockaddr_in value{};
  value.sin_family = AF_INET;
  value.sin_port = htons(port);
  inet_pton(AF_INET, address, &value.sin_addr);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string six(const char* address, uint16_t port) {
  sockaddr_in6 value{};
  value.sin6_family = AF_INET6;
  value.sin6_port = htons(port);
  inet_pton(AF_INET6, address, &value.sin6_addr);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// The sum over the pseudo header and the whole part is all ones exactly when the checksum in it is right.
uint32_t sum(std::string_view bytes, uint32_t start) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    start += uint32_t{static_cast<unsigned char>(bytes[i])} << (i % 2 == 0 ? 8 : 0);
  }
  while (start >> 16 != 0) start = (start & 0xffff) + (start >> 16);
  return start;
}

TEST(Datagrams, Ipv4ChecksumHolds) {
  for (size_t length : {0, 1, 2, 7, 1000}) {
    auto packet = packet_of(IPPROTO_UDP, {four("10.1.2.3", 53), std::string(length, 'q')}, four("127.0.0.1", 4000));
    ASSERT_TRUE(packet.has_value());
    ASSERT_EQ(packet->size(), 20 + 8 + length);
    EXPECT_EQ(sum(packet->substr(20), sum(packet->substr(12, 8), IPPROTO_UDP + 8 + static_cast<uint32_t>(length))),
              0xffffu);
  }
}

TEST(Datagrams, Ipv6ChecksumHolds) {
  auto packet = packet_of(IPPROTO_UDP, {six("fd00::1", 53), "content"}, six("::1", 4000));
  ASSERT_TRUE(packet.has_value());
  ASSERT_EQ(packet->size(), 40u + 8 + 7);
  EXPECT_EQ(sum(packet->substr(40), sum(packet->substr(8, 32), IPPROTO_UDP + 8 + 7)), 0xffffu);
}

TEST(Datagrams, HostileOnesAreRefused) {
  EXPECT_FALSE(packet_of(IPPROTO_UDP, {"", "x"}, four("127.0.0.1", 1)).has_value());
  EXPECT_FALSE(packet_of(IPPROTO_UDP, {four("1.2.3.4", 1), "x"}, "short").has_value());
  EXPECT_FALSE(packet_of(IPPROTO_UDP, {four("1.2.3.4", 1), "x"}, six("::1", 1)).has_value());
  EXPECT_FALSE(packet_of(IPPROTO_UDP, {four("1.2.3.4", 1), std::string(70000, 'x')}, four("127.0.0.1", 1)).has_value());
}

}  // namespace
}  // namespace godwit::sys
