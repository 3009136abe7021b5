#include "proc/idle_time.h"

#include <gtest/gtest.h>

namespace godwit::proc {
namespace {

TEST(IdleTime, OfAllProcessors) {
  auto idle = parse_idle_ticks(
      "cpu  103212 0 40211 908812 301 0 1204 0 0 0\n"
      "cpu0 51000 0 20100 454400 150 0 600 0 0 0\n");
  ASSERT_TRUE(idle);
  EXPECT_EQ(*idle, 908812u + 301u);
}

TEST(IdleTime, OtherTextIsRefused) {
  for (const char* text : {"", "cpu", "cpu  1 2 3", "cpu  1 2 3 4", "cpu0 1 2 3 4 5\n", "cpu  a b c d e\n"}) {
    EXPECT_FALSE(parse_idle_ticks(text)) << text;
  }
}

}  // namespace
}  // namespace godwit::proc
