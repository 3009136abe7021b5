#include "address_space/compression_choice.h"

#include <gtest/gtest.h>

#include <map>

namespace godwit::address_space {
namespace {

using transport::Codec;

constexpr uint64_t kPiece = 512 << 10;

std::chrono::nanoseconds at_speed(double bytes, double bytes_per_second) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(bytes / bytes_per_second));
}

// A link and what the codecs make of the pages; how often each codec is chosen for 1,000 pieces.
struct World {
  double link;
  double lz4_ratio, zstd_ratio;
  double lz4_speed = 600e6, zstd_speed = 300e6;

  std::map<Codec, int> run(CompressionChoice& choice, PageClass pages = PageClass::anonymous) const {
    std::map<Codec, int> chosen;
    for (int i = 0; i < 1000; ++i) {
      Codec codec = choice.next(pages);
      ++chosen[codec];
      double bytes = kPiece;
      if (codec != Codec::none) {
        double ratio = codec == Codec::lz4 ? lz4_ratio : zstd_ratio;
        double speed = codec == Codec::lz4 ? lz4_speed : zstd_speed;
        choice.compressed(pages, codec, kPiece, static_cast<uint64_t>(bytes * ratio), at_speed(bytes, speed));
        bytes *= ratio;
      }
      choice.sent(static_cast<uint64_t>(bytes), at_speed(bytes, link));
    }
    return chosen;
  }
};

TEST(CompressionChoiceTest, OnAFastLinkNothingIsEvenTried) {
  CompressionChoice choice;
  auto chosen = World{.link = 1e9, .lz4_ratio = 0.1, .zstd_ratio = 0.05}.run(choice);
  EXPECT_EQ(chosen[Codec::none], 1000);
}

TEST(CompressionChoiceTest, OnASlowLinkTheOneThatShrinksMostIsTaken) {
  CompressionChoice choice;
  auto chosen = World{.link = 12e6, .lz4_ratio = 0.5, .zstd_ratio = 0.3}.run(choice);
  EXPECT_GT(chosen[Codec::zstd], 900);
}

TEST(CompressionChoiceTest, OnAMiddlingLinkTheFastOneIsTaken) {
  CompressionChoice choice;
  auto chosen = World{.link = 200e6, .lz4_ratio = 0.4, .zstd_ratio = 0.35}.run(choice);
  EXPECT_GT(chosen[Codec::lz4], 900);
}

TEST(CompressionChoiceTest, WhatDoesNotShrinkIsSentAsItIs) {
  CompressionChoice choice;
  auto chosen = World{.link = 100e6, .lz4_ratio = 1, .zstd_ratio = 0.99}.run(choice);
  EXPECT_GT(chosen[Codec::none], 900);
}

TEST(CompressionChoiceTest, ClassesAreToldApart) {
  CompressionChoice choice;
  World shrinking{.link = 12e6, .lz4_ratio = 0.5, .zstd_ratio = 0.3};
  World dense{.link = 12e6, .lz4_ratio = 1, .zstd_ratio = 1};
  EXPECT_GT(shrinking.run(choice, PageClass::anonymous)[Codec::zstd], 900);
  EXPECT_GT(dense.run(choice, PageClass::file)[Codec::none], 900);
  EXPECT_GT(shrinking.run(choice, PageClass::anonymous)[Codec::zstd], 900);
}

TEST(CompressionChoiceTest, ALinkThatBecomesFastIsLeftAlone) {
  CompressionChoice choice;
  World slow{.link = 12e6, .lz4_ratio = 0.5, .zstd_ratio = 0.3};
  slow.run(choice);
  World fast{.link = 2e9, .lz4_ratio = 0.5, .zstd_ratio = 0.3};
  fast.run(choice);
  EXPECT_EQ(fast.run(choice)[Codec::none], 1000);
}

}  // namespace
}  // namespace godwit::address_space
