#include "cli/duration.h"

#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

TEST(Duration, ReadsWhatUsersWrite) {
  EXPECT_EQ(parse_duration_ms("250ms").value(), 250);
  EXPECT_EQ(parse_duration_ms("1.5s").value(), 1500);
  EXPECT_EQ(parse_duration_ms("2").value(), 2000);
  EXPECT_EQ(parse_duration_ms("2m").value(), 120000);
  for (const char* bad : {"", "ms", "-1s", "1 s", "1d", "inf", "nan", "1e400s"})
    EXPECT_FALSE(parse_duration_ms(bad)) << bad;
}

TEST(Duration, ShowsThreeFigures) {
  EXPECT_EQ(format_ms(0.4123), "0.412 ms");
  EXPECT_EQ(format_ms(3.208), "3.21 ms");
  EXPECT_EQ(format_ms(38.14), "38.1 ms");
  EXPECT_EQ(format_ms(999.4), "999 ms");
  EXPECT_EQ(format_ms(999.7), "1.00 s");
  EXPECT_EQ(format_ms(192000), "3 m 12 s");
}

TEST(Duration, AgesAndSizes) {
  EXPECT_EQ(format_age(59.9), "59 s");
  EXPECT_EQ(format_age(3720), "1 h 2 m");
  EXPECT_EQ(format_bytes(812), "812 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(204.0 * 1048576), "204 MiB");
}

}  // namespace
}  // namespace godwit::cli
