#include "cli/detach_keys.h"

#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

TEST(DetachKeys, BothKeysInARowDetach) {
  DetachKeys keys;
  std::string out;
  EXPECT_TRUE(keys.pass("ls\r\x10\x11rest", out));
  EXPECT_EQ(out, "ls\r");
}

TEST(DetachKeys, TheyMayComeInTwoReads) {
  DetachKeys keys;
  std::string out;
  EXPECT_FALSE(keys.pass("a\x10", out));
  EXPECT_EQ(out, "a");
  EXPECT_TRUE(keys.pass("\x11", out));
  EXPECT_EQ(out, "a");
}

TEST(DetachKeys, ALoneFirstKeyReachesTheJob) {
  DetachKeys keys;
  std::string out;
  EXPECT_FALSE(keys.pass("\x10", out));
  EXPECT_FALSE(keys.pass("x\x10\x10", out));
  EXPECT_EQ(out, "\x10x\x10");
  EXPECT_TRUE(keys.pass("\x11", out));
}

TEST(DetachKeys, TheSecondKeyAloneIsNothingSpecial) {
  DetachKeys keys;
  std::string out;
  EXPECT_FALSE(keys.pass("\x11\x10y", out));
  EXPECT_EQ(out, "\x11\x10y");
}

}  // namespace
}  // namespace godwit::cli
