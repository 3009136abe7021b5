#include "transport/compression.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace godwit::transport {
namespace {

std::vector<std::byte> repetitive(size_t size) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i / 64 % 7);
  return bytes;
}

class CompressionTest : public testing::TestWithParam<Codec> {};

TEST_P(CompressionTest, WhatWasCompressedComesBack) {
  Compressor compressor;
  std::vector<std::byte> content = repetitive(300'000);
  std::vector<std::byte> packed(content.size());
  size_t size = compressor.compress(GetParam(), content, packed);
  ASSERT_GT(size, 0u);
  EXPECT_LT(size, content.size() / 4);
  std::vector<std::byte> back(content.size());
  ASSERT_TRUE(compressor.decompress(GetParam(), std::span(packed).first(size), back));
  EXPECT_EQ(back, content);
}

TEST_P(CompressionTest, WhatDoesNotShrinkIsNotCompressed) {
  Compressor compressor;
  std::mt19937_64 random(7);
  std::vector<std::byte> content(65536);
  for (std::byte& byte : content) byte = static_cast<std::byte>(random());
  std::vector<std::byte> packed(content.size() - 1);
  EXPECT_EQ(compressor.compress(GetParam(), content, packed), 0u);
}

TEST_P(CompressionTest, AnotherLengthThanPromisedIsCorrupt) {
  Compressor compressor;
  std::vector<std::byte> content = repetitive(8192);
  std::vector<std::byte> packed(content.size());
  size_t size = compressor.compress(GetParam(), content, packed);
  for (size_t promised : {size_t{4096}, size_t{8191}, size_t{8193}, size_t{65536}}) {
    std::vector<std::byte> back(promised);
    auto unpacked = compressor.decompress(GetParam(), std::span(packed).first(size), back);
    ASSERT_FALSE(unpacked) << promised;
    EXPECT_EQ(unpacked.error().kind, ErrorKind::corrupt);
  }
}

TEST_P(CompressionTest, GarbageIsCorruptOrHarmless) {
  Compressor compressor;
  std::mt19937_64 random(11);
  std::vector<std::byte> content = repetitive(8192);
  std::vector<std::byte> packed(content.size());
  size_t size = compressor.compress(GetParam(), content, packed);
  std::vector<std::byte> back(content.size());
  for (int turn = 0; turn < 2000; ++turn) {
    std::vector<std::byte> bent(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
    bent[random() % size] = static_cast<std::byte>(random());
    (void)compressor.decompress(GetParam(), std::span(bent).first(1 + random() % size), back);
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, CompressionTest, testing::Values(Codec::lz4, Codec::zstd));

TEST(CompressionTest, AnUnknownCodecIsCorrupt) {
  Compressor compressor;
  std::vector<std::byte> bytes(4096);
  EXPECT_FALSE(compressor.decompress(static_cast<Codec>(3), bytes, bytes));
  EXPECT_FALSE(compressor.decompress(Codec::none, bytes, bytes));
}

}  // namespace
}  // namespace godwit::transport
