#include "node/move_tally.h"

#include <gtest/gtest.h>

namespace godwit::node {
namespace {

api::MoveEvent moved(double freeze_ms) {
  api::MoveEvent told;
  told.mutable_moved()->mutable_report()->set_freeze_ms(freeze_ms);
  told.mutable_moved()->mutable_report()->set_bytes_sent(1000);
  return told;
}

TEST(MoveTally, SortsFreezesIntoClasses) {
  MoveTally tally;
  for (double freeze_ms : {0.2, 0.5, 4.0, 9000.0}) tally.add("hybrid", moved(freeze_ms));
  EXPECT_EQ(tally.freezes[0], 2u);
  EXPECT_EQ(tally.freezes[4], 1u);  // 3 to 5 ms
  EXPECT_EQ(tally.freezes_in_all, 4u);
  EXPECT_DOUBLE_EQ(tally.freeze_sum_ms, 9004.7);
  EXPECT_EQ(tally.bytes_sent, 4000u);
  EXPECT_EQ((tally.ended[{"hybrid", "moved"}]), 4u);
}

TEST(MoveTally, TellsFailedFromLost) {
  MoveTally tally;
  api::MoveEvent told;
  told.mutable_failed()->set_source_intact(true);
  tally.add("precopy", told);
  told.mutable_failed()->set_source_intact(false);
  tally.add("precopy", told);
  told.mutable_dry_run();
  tally.add("precopy", told);
  EXPECT_EQ((tally.ended[{"precopy", "failed"}]), 1u);
  EXPECT_EQ((tally.ended[{"precopy", "lost"}]), 1u);
  EXPECT_EQ(tally.ended.size(), 2u);
}

}  // namespace
}  // namespace godwit::node
