#include "lab/network.h"

#include <gtest/gtest.h>

namespace godwit::lab {
namespace {

TEST(LinkRateTest, ReadsRates) {
  EXPECT_EQ(parse_link_rate("1gbit").value_or(0), 1'000'000'000u);
  EXPECT_EQ(parse_link_rate("500mbit").value_or(0), 500'000'000u);
  EXPECT_EQ(parse_link_rate("64kbit").value_or(0), 64'000u);
}

TEST(LinkRateTest, RefusesWhatIsNone) {
  for (const char* text :
       {"", "gbit", "0gbit", "1", "1gb", "-1gbit", "1gbit\nlink del eth0", "99999999999999999999gbit", "1.5gbit"}) {
    EXPECT_FALSE(parse_link_rate(text)) << text;
  }
}

}  // namespace
}  // namespace godwit::lab
