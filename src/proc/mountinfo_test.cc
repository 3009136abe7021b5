#include "proc/mountinfo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::proc {
namespace {

TEST(MountinfoTest, ReadsAllFields) {
  auto mounts = parse_mountinfo(
      "27 1 254:0 / / rw,relatime shared:1 master:3 - ext4 /dev/vda rw,discard\n"
      "30 27 0:26 /a\\040b /mnt/with\\040space\\134 ro - tmpfs none rw,size=4k\n");
  ASSERT_TRUE(mounts) << mounts.error().message();
  ASSERT_EQ(mounts->size(), 2u);
  const Mount& first = mounts->at(0);
  EXPECT_EQ(first.id, 27);
  EXPECT_EQ(first.parent, 1);
  EXPECT_EQ(first.major, 254u);
  EXPECT_EQ(first.minor, 0u);
  EXPECT_EQ(first.point, "/");
  EXPECT_EQ(first.type, "ext4");
  EXPECT_EQ(first.source, "/dev/vda");
  EXPECT_EQ(first.super_options, "rw,discard");
  EXPECT_THAT(first.tags, testing::ElementsAre("shared:1", "master:3"));
  EXPECT_EQ(mounts->at(1).root, "/a b");
  EXPECT_EQ(mounts->at(1).point, "/mnt/with space\\");
  EXPECT_THAT(mounts->at(1).tags, testing::IsEmpty());
}

TEST(MountinfoTest, FindsTheMountOfAPath) {
  auto mounts = parse_mountinfo(
      "1 0 0:1 / / rw - overlay a rw\n2 1 0:2 / /tmp rw - tmpfs b rw\n3 2 0:3 / /tmp rw - tmpfs c rw\n");
  ASSERT_TRUE(mounts);
  EXPECT_EQ(mount_of(*mounts, "/tmp/x")->source, "c");  // the upper one
  EXPECT_EQ(mount_of(*mounts, "/tmp")->source, "c");
  EXPECT_EQ(mount_of(*mounts, "/tmpx")->source, "a");
  EXPECT_EQ(mount_of(*mounts, "/")->source, "a");
  EXPECT_EQ(mount_of({}, "/x"), nullptr);
}

TEST(MountinfoTest, RefusesWhatIsNotMountinfo) {
  for (const char* text :
       {"27\n", "27 1 254 / / rw - ext4 a b\n", "x 1 254:0 / / rw - ext4 a b\n", "27 1 254:0 / / rw shared:1\n"}) {
    auto mounts = parse_mountinfo(text);
    ASSERT_FALSE(mounts) << text;
    EXPECT_EQ(mounts.error().kind, ErrorKind::corrupt);
  }
}

}  // namespace
}  // namespace godwit::proc
