#include "proc/fdinfo.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

namespace godwit::proc {
namespace {

TEST(FdInfo, RegularFileWithLock) {
  auto info = parse_fdinfo(
      "pos:\t4096\nflags:\t02102002\nmnt_id:\t29\nino:\t5\nlock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF\n");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->position, 4096u);
  EXPECT_EQ(info->flags, 02102002u);
  ASSERT_EQ(info->locks.size(), 1u);
  EXPECT_EQ(info->locks[0].kind, FileLock::Kind::flock);
  EXPECT_TRUE(info->locks[0].exclusive);
  EXPECT_EQ(info->locks[0].start, 0u);
  EXPECT_EQ(info->locks[0].length, 0u);
}

TEST(FdInfo, LocksOfAllKinds) {
  auto info = parse_fdinfo(
      "pos:\t0\nflags:\t0100002\n"
      "lock:\t1: POSIX  ADVISORY  READ 26 fe:01:11691 128 255\n"
      "lock:\t2: POSIX  ADVISORY  WRITE 26 fe:01:11691 1073741824 EOF\n"
      "lock:\t3: OFDLCK ADVISORY  WRITE -1 fe:01:11691 0 0\n"
      "lock:\t4: LEASE  ACTIVE    READ 26 fe:01:11691 0 EOF\n");
  ASSERT_TRUE(info);
  ASSERT_EQ(info->locks.size(), 4u);
  EXPECT_EQ(info->locks[0].kind, FileLock::Kind::posix);
  EXPECT_FALSE(info->locks[0].exclusive);
  EXPECT_EQ(info->locks[0].start, 128u);
  EXPECT_EQ(info->locks[0].length, 128u);
  EXPECT_EQ(info->locks[1].start, 1073741824u);
  EXPECT_EQ(info->locks[1].length, 0u);
  EXPECT_EQ(info->locks[2].kind, FileLock::Kind::description);
  EXPECT_EQ(info->locks[2].length, 1u);
  EXPECT_EQ(info->locks[3].kind, FileLock::Kind::other);
  EXPECT_FALSE(parse_fdinfo("flags:\t0\nlock:\t1: POSIX  ADVISORY  SOME 26 fe:01:1 0 EOF\n"));
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

TEST(FdInfo, InotifyWatches) {
  auto info = parse_fdinfo(
      "pos:\t0\nflags:\t04000\nmnt_id:\t17\nino:\t1044\n"
      "inotify wd:4e ino:a76072 sdev:fe00001 mask:80000002 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 "
      "f_handle:7260a700aca2e3fa\n"
      "inotify wd:1 ino:2 sdev:1b mask:22 ignored_mask:0 \n");
  ASSERT_TRUE(info);
  ASSERT_EQ(info->inotify_watches.size(), 2u);
  const FdInfo::InotifyWatch& first = info->inotify_watches[0];
  EXPECT_EQ(first.watch, 0x4e);
  EXPECT_EQ(first.mask, 0x80000002u);
  EXPECT_EQ(first.inode, 0xa76072u);
  EXPECT_EQ(first.device, makedev(254, 1));
  EXPECT_EQ(first.handle, std::string("\x72\x60\xa7\x00\xac\xa2\xe3\xfa", 8));
  EXPECT_TRUE(info->inotify_watches[1].handle.empty());
  EXPECT_FALSE(parse_fdinfo("flags:\t0\ninotify wd:1 nonsense\n"));
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
