#include "forwarding/packet_headers.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

namespace godwit::forwarding {
namespace {

// From 10.77.0.3:40000 to 100.64.16.1:9000: sequence number 1, acknowledges 2, PSH and ACK, with five bytes.
const std::string kTcp4(
    "\x45\x00\x00\x2d\x00\x01\x40\x00\x40\x06\x00\x00\x0a\x4d\x00\x03\x64\x40\x10\x01"
    "\x9c\x40\x23\x28\x00\x00\x00\x01\x00\x00\x00\x02\x50\x18\xff\xff\x00\x00\x00\x00hello",
    45);

std::string udp6() {
  std::string packet("\x60\x00\x00\x00\x00\x0b\x11\x40", 8);
  packet += std::string(15, '\0') + "\x01" + std::string(15, '\0') + "\x02";
  return packet + std::string("\x00\x35\x10\x00\x00\x0b\x00\x00yes", 11);
}

TEST(PacketHeadersTest, ReadsTcp) {
  auto headers = parse_packet(kTcp4);
  ASSERT_TRUE(headers);
  EXPECT_EQ(sys::to_string(headers->from), "10.77.0.3");
  EXPECT_EQ(sys::to_string(headers->to), "100.64.16.1");
  EXPECT_EQ(headers->from_port, 40000);
  EXPECT_EQ(headers->to_port, 9000);
  EXPECT_EQ(headers->tcp_flags, 0x18);
  EXPECT_EQ(headers->sequence, 1u);
  EXPECT_EQ(headers->acknowledged, 2u);
  EXPECT_EQ(headers->content_bytes, 5u);
}

TEST(PacketHeadersTest, ReadsUdpOfVersion6) {
  auto headers = parse_packet(udp6());
  ASSERT_TRUE(headers);
  EXPECT_EQ(headers->protocol, IPPROTO_UDP);
  EXPECT_EQ(sys::to_string(headers->from), "::1");
  EXPECT_EQ(sys::to_string(headers->to), "::2");
  EXPECT_EQ(headers->from_port, 53);
  EXPECT_EQ(headers->content_bytes, 3u);
}

TEST(PacketHeadersTest, AnythingThatIsCutOffOrImpossibleIsNothing) {
  for (size_t size = 0; size < 40; ++size) EXPECT_FALSE(parse_packet(std::string_view(kTcp4).substr(0, size))) << size;
  for (size_t size = 0; size < 48; ++size) EXPECT_FALSE(parse_packet(std::string_view(udp6()).substr(0, size))) << size;
  std::string fragment = kTcp4;
  fragment[7] = 1;
  EXPECT_FALSE(parse_packet(fragment));
  std::string long_header = kTcp4;
  long_header[32] = '\xf0';
  EXPECT_FALSE(parse_packet(long_header));
}

}  // namespace
}  // namespace godwit::forwarding
