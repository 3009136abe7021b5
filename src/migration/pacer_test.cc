#include "migration/pacer.h"

#include <gtest/gtest.h>

namespace godwit::migration {
namespace {

using std::chrono::milliseconds;

TEST(Pacer, KeepsToTheRateHoweverTheBytesCome) {
  Pacer pacer(1'000'000);
  Pacer::Clock::time_point begin(std::chrono::seconds(100)), now = begin;
  for (int i = 0; i < 100; ++i) {
    now += pacer.after(10'000 + (i % 2) * 20'000, now) + milliseconds(1);  // each wait is a little too long
  }
  double seconds = std::chrono::duration<double>(now - begin).count();
  EXPECT_NEAR(seconds, 2.0, 0.05);
}

TEST(Pacer, AnIdleTimeIsNotMadeUpFor) {
  Pacer pacer(1'000'000);
  Pacer::Clock::time_point now(std::chrono::seconds(100));
  (void)pacer.after(1000, now);
  now += std::chrono::seconds(50);
  EXPECT_GE(pacer.after(100'000, now), milliseconds(75));
}

TEST(Pacer, NoLimitIsNoWait) {
  EXPECT_EQ(Pacer().after(1 << 30, Pacer::Clock::time_point(milliseconds(1))), Pacer::Clock::duration(0));
}

}  // namespace
}  // namespace godwit::migration
