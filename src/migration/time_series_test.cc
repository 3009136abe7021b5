#include "migration/time_series.h"

#include <gtest/gtest.h>

namespace godwit::migration {
namespace {

worker::Sample at(double ms) {
  worker::Sample sample;
  sample.set_at_ms(ms);
  sample.set_bytes_sent(static_cast<uint64_t>(ms * 10));
  return sample;
}

TEST(TimeSeries, KeepsEverySampleOfAShortMove) {
  TimeSeries series;
  for (double ms = 0; ms < 100; ms += 1) {
    if (series.wants(ms)) series.add(at(ms));
  }
  ASSERT_EQ(series.samples().size(), 20u);
  EXPECT_EQ(series.samples()[3].at_ms(), 15);
}

TEST(TimeSeries, StaysSmallHoweverLongTheMoveTakes) {
  TimeSeries series;
  for (double ms = 0; ms < 3'600'000; ms += 4) {
    if (series.wants(ms)) series.add(at(ms));
  }
  EXPECT_LE(series.samples().size(), TimeSeries::kMost);
  EXPECT_GE(series.samples().size(), TimeSeries::kMost / 2);
  EXPECT_EQ(series.samples().front().at_ms(), 0);
  for (size_t i = 1; i < series.samples().size(); ++i) {
    EXPECT_LT(series.samples()[i - 1].at_ms(), series.samples()[i].at_ms());
  }
}

TEST(TimeSeries, ThinningKeepsTheFirstOfEachPair) {
  TimeSeries series;
  for (size_t i = 0; i <= TimeSeries::kMost; ++i) series.add(at(static_cast<double>(i)));
  ASSERT_EQ(series.samples().size(), TimeSeries::kMost / 2 + 1);
  EXPECT_EQ(series.samples()[1].at_ms(), 2);
  EXPECT_EQ(series.samples().back().at_ms(), TimeSeries::kMost);
}

}  // namespace
}  // namespace godwit::migration
