#include "forwarding/link_watch.h"

#include <gtest/gtest.h>

namespace godwit::forwarding {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LinkWatchTest : public testing::Test {
 protected:
  LinkWatch::Verdict look(milliseconds at, uint64_t sent, uint64_t answered, uint64_t passed = 0) {
    return watch_.look({.passed = passed, .sent = sent, .answered = answered}, start_ + at);
  }
  LinkWatch::Clock::time_point start_{seconds(100)};
  LinkWatch watch_{start_};
};

TEST_F(LinkWatchTest, SilenceAfterSomethingWasSentIsNoAnswer) {
  look(milliseconds(0), 10, 10);
  EXPECT_FALSE(look(milliseconds(50), 11, 10).no_answer);
  EXPECT_FALSE(look(milliseconds(100), 11, 10).no_answer);
  EXPECT_TRUE(look(milliseconds(160), 12, 10).no_answer);
}

TEST_F(LinkWatchTest, AnAnswerEndsTheSilence) {
  look(milliseconds(0), 10, 10);
  look(milliseconds(50), 11, 10);
  EXPECT_FALSE(look(milliseconds(200), 12, 11).no_answer);
  EXPECT_FALSE(look(milliseconds(400), 12, 11).no_answer);  // nothing was sent since
}

TEST_F(LinkWatchTest, FormerCountsAreNoUse) {
  EXPECT_FALSE(look(milliseconds(0), 500, 3, 7).used);
  EXPECT_FALSE(look(milliseconds(500), 500, 3, 7).no_answer);
}

TEST_F(LinkWatchTest, UseEndsIdleness) {
  look(milliseconds(0), 0, 0, 0);
  EXPECT_EQ(look(seconds(30), 0, 0, 0).idle, seconds(30));
  auto used = look(seconds(31), 0, 0, 1);
  EXPECT_TRUE(used.used);
  EXPECT_EQ(used.idle, seconds(0));
  EXPECT_EQ(look(seconds(40), 0, 0, 1).idle, seconds(9));
}

}  // namespace
}  // namespace godwit::forwarding
