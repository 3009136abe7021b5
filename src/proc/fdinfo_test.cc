#include "proc/fdinfo.h"

#include <gtest/gtest.h>

namespace godwit::proc {
namespace {

TEST(FdInfo, RegularFileWithLock) {
  auto info = parse_fdinfo(
      "pos:\t4096\nflags:\t02102002\nmnt_id:\t29\nino:\t5\nlock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF\n");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->position, 4096u);
  EXPECT_EQ(info->flags, 02102002u);
  ASSERT_EQ(info->locks.size(), 1u);
}

TEST(FdInfo, EpollTargets) {
  auto info = parse_fdinfo(
      "pos:\t0\nflags:\t02\ntfd:        5 events:       19 data: 74253d2500000009  pos:0 ino:61af sdev:7\n");
  ASSERT_TRUE(info);
  ASSERT_EQ(info->epoll_targets.size(), 1u);
  EXPECT_EQ(info->epoll_targets[0].number, 5);
  EXPECT_EQ(info->epoll_targets[0].events, 0x19u);
  EXPECT_EQ(info->epoll_targets[0].data, 0x74253d2500000009u);
}

TEST(FdInfo, TimerFd) {
  auto info = parse_fdinfo(
      "pos:\t0\nflags:\t02004002\nclockid: 1\nticks: 3\nsettime flags: 01\nit_value: (0, 49406829)\nit_interval: (1, "
      "0)\n");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->number("clockid", 10), 1u);
  EXPECT_EQ(info->field("it_value"), "(0, 49406829)");
}

TEST(FdInfo, RefusesTextWithoutFlags) { EXPECT_FALSE(parse_fdinfo("pos: 0\n")); }

}  // namespace
}  // namespace godwit::proc
