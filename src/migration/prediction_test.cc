#include "migration/prediction.h"

#include <gtest/gtest.h>

namespace godwit::migration {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

worker::Report predicted(const char* memory, uint64_t bandwidth = 0, bool mirror = false, uint32_t max_freeze_ms = 0) {
  worker::MoveOptions options;
  options.set_memory(memory);
  options.set_bandwidth(bandwidth);
  options.set_max_freeze_ms(max_freeze_ms);
  worker::Report report;
  predict(options, {kGiB, 0}, mirror, 50, report);
  return report;
}

TEST(Prediction, MemoryObjectsDoNotStayBehind) {
  worker::MoveOptions options;
  options.set_memory("postcopy");
  worker::Report report;
  predict(options, {0, kGiB}, false, 50, report);
  EXPECT_GT(report.predicted_freeze_ms(), 1000);
}

TEST(Prediction, OnlyTotalFreezingFreezesForAsLongAsMemoryTakes) {
  EXPECT_GT(predicted("total").predicted_freeze_ms(), 1000);
  EXPECT_LT(predicted("postcopy").predicted_freeze_ms(), 10);
  EXPECT_EQ(predicted("hybrid").predicted_freeze_ms(), 10);
  EXPECT_EQ(predicted("precopy", 0, false, 3).predicted_freeze_ms(), 3);
}

TEST(Prediction, AMirrorOfAllIsWrittenInTheFreeze) {
  EXPECT_GT(predicted("postcopy", 0, true).predicted_freeze_ms(), 1000);
}

TEST(Prediction, NoMoveIsShorterThanItsFreezeOrItsCopy) {
  for (const char* memory : {"total", "precopy", "postcopy", "hybrid"}) {
    worker::Report report = predicted(memory);
    EXPECT_GT(report.predicted_total_ms(), report.predicted_freeze_ms()) << memory;
    EXPECT_GT(report.predicted_total_ms(), 1000) << memory;
  }
}

TEST(Prediction, ALimitCountsForWhatTravelsWhileTheProgramRuns) {
  EXPECT_GT(predicted("hybrid", 100'000'000).predicted_total_ms(), 10'000);
  EXPECT_LT(predicted("total", 100'000'000).predicted_total_ms(), 5'000);
}

}  // namespace
}  // namespace godwit::migration
