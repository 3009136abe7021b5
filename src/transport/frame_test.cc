#include "transport/frame.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace godwit::transport {
namespace {

Result<FrameHeader> decode(uint32_t type, uint32_t length) {
  std::array<std::byte, kFrameHeaderBytes> bytes;
  std::memcpy(bytes.data(), &type, 4);
  std::memcpy(bytes.data() + 4, &length, 4);
  return decode_header(bytes);
}

TEST(FrameTest, HeaderRoundTrip) {
  std::array<std::byte, kFrameHeaderBytes> bytes;
  encode_header({FrameType::pages, 0x01020304 & 0xfffff}, bytes);
  auto header = decode_header(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, FrameType::pages);
  EXPECT_EQ(header->length, 0x01020304u & 0xfffff);
}

TEST(FrameTest, RefusesUnknownTypes) {
  for (uint32_t type : {0u, 99u, 0xffffffffu}) {
    auto header = decode(type, 0);
    ASSERT_FALSE(header) << type;
    EXPECT_EQ(header.error().kind, ErrorKind::corrupt);
  }
}

TEST(FrameTest, EveryTypeHasItsBound) {
  for (uint32_t type = 1; type <= 64; ++type) {
    if (!name_of(static_cast<FrameType>(type))) continue;
    uint32_t bound = longest_payload(static_cast<FrameType>(type));
    EXPECT_TRUE(decode(type, bound)) << type;
    EXPECT_FALSE(decode(type, bound + 1)) << type;
    EXPECT_FALSE(decode(type, 0xffffffffu)) << type;
  }
}

}  // namespace
}  // namespace godwit::transport
