#include "migration/clocks.h"

#include <gtest/gtest.h>

namespace godwit::migration {
namespace {

TEST(Clocks, GoOnByTheTimeThatPassed) {
  wire::Offer offer;
  offer.set_realtime_ns(1'000'000);
  offer.set_monotonic_ns(50'000);
  offer.set_boottime_ns(70'000);
  // 300 ns later on a node whose own clocks stand at 9,000,000 and 9,500,000.
  ClockOffsets offsets = offsets_for(offer, {9'000'000, 9'500'000}, 1'000'300);
  EXPECT_EQ(9'000'000 + offsets.monotonic_ns, 50'300);
  EXPECT_EQ(9'500'000 + offsets.boottime_ns, 70'300);
}

}  // namespace
}  // namespace godwit::migration
