#include "proc/timers.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace godwit::proc {
namespace {

TEST(Timers, ReadsAllKinds) {
  auto timers = parse_timers(
      "ID: 0\nsignal: 14/0000000000000000\nnotify: signal/pid.7212\nClockID: 1\n"
      "ID: 7\nsignal: 34/00007ffd1234abcd\nnotify: thread/pid.12\nClockID: -6\n"
      "ID: 9\nsignal: 33/0000000000000001\nnotify: signal/tid.13\nClockID: 0\n"
      "ID: 10\nsignal: 0/0000000000000000\nnotify: none/pid.0\nClockID: 7\n");
  ASSERT_TRUE(timers) << timers.error().message();
  ASSERT_EQ(timers->size(), 4u);
  EXPECT_EQ((*timers)[0].signal, 14);
  EXPECT_EQ((*timers)[0].notify, SIGEV_SIGNAL);
  EXPECT_EQ((*timers)[0].target, 7212);
  EXPECT_EQ((*timers)[0].clock, 1);
  EXPECT_EQ((*timers)[1].id, 7);
  EXPECT_EQ((*timers)[1].value, 0x7ffd1234abcdu);
  EXPECT_EQ((*timers)[1].notify, SIGEV_THREAD);
  EXPECT_EQ((*timers)[1].clock, -6);
  EXPECT_EQ((*timers)[2].notify, SIGEV_THREAD_ID);
  EXPECT_EQ((*timers)[2].target, 13);
  EXPECT_EQ((*timers)[3].notify, SIGEV_NONE);
}

TEST(Timers, NoneIsFineAndGarbageIsNot) {
  EXPECT_TRUE(parse_timers("")->empty());
  EXPECT_FALSE(parse_timers("ID: 0\nsignal: 14/0\n"));
  EXPECT_FALSE(parse_timers("ID: x\n"));
  EXPECT_FALSE(parse_timers("ID: 0\nsignal: 14/0\nnotify: pigeon/pid.1\nClockID: 1\n"));
}

}  // namespace
}  // namespace godwit::proc
