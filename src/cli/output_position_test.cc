#include "cli/output_position.h"

#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

TEST(OutputPosition, GoesOnBehindWhatWasShown) {
  OutputPosition position;
  EXPECT_FALSE(position.next());
  EXPECT_TRUE(position.advance(20));
  EXPECT_TRUE(position.advance(48));
  EXPECT_EQ(position.next(), 48u);
}

TEST(OutputPosition, WhatComesAgainAfterABrokenConnectionIsDropped) {
  OutputPosition position;
  EXPECT_TRUE(position.advance(20));
  EXPECT_FALSE(position.advance(20));
  EXPECT_FALSE(position.advance(7));
  EXPECT_TRUE(position.advance(21));
}

}  // namespace
}  // namespace godwit::cli
