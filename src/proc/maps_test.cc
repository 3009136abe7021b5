#include "proc/maps.h"

#include <gtest/gtest.h>

namespace godwit::proc {
namespace {

TEST(Maps, ReadsLinesOfSeveralKinds) {
  auto entries = parse_maps(
      "55d0c0a00000-55d0c0a28000 r-xp 00002000 fd:01 1048602                    /usr/bin/bash\n"
      "7ffd1c000000-7ffd1c021000 rw-p 00000000 00:00 0                          [stack]\n"
      "7f0000000000-7f0000001000 rw-s 00000000 00:01 5 /dev/zero (deleted)\n"
      "7f0000002000-7f0000003000 ---p 00000000 00:00 0 \n");
  ASSERT_TRUE(entries) << entries.error().message();
  ASSERT_EQ(entries->size(), 4u);
  EXPECT_EQ((*entries)[0].name, "/usr/bin/bash");
  EXPECT_EQ((*entries)[0].offset, 0x2000u);
  EXPECT_EQ((*entries)[0].device_major, 0xfdu);
  EXPECT_TRUE((*entries)[0].execute);
  EXPECT_EQ((*entries)[1].name, "[stack]");
  EXPECT_TRUE((*entries)[2].shared);
  EXPECT_EQ((*entries)[2].name, "/dev/zero (deleted)");
  EXPECT_TRUE((*entries)[3].name.empty());
}

TEST(Maps, TakesFlagsFromSmaps) {
  auto entries = parse_maps(
      "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 [anon:pool\\012x]\n"
      "Size:                  4 kB\nTHPeligible:           0\nProtectionKey:        12\nVmFlags: rd wr mr mw me ac gd "
      "\n");
  ASSERT_TRUE(entries);
  EXPECT_EQ((*entries)[0].protection_key, 12u);
  EXPECT_EQ((*entries)[0].name, "[anon:pool\nx]");
  EXPECT_TRUE((*entries)[0].has_flag("gd"));
  EXPECT_TRUE((*entries)[0].has_flag("rd"));
  EXPECT_FALSE((*entries)[0].has_flag("lo"));
}

TEST(Maps, TakesATextInParts) {
  std::vector<MapEntry> entries;
  ASSERT_TRUE(parse_maps("7f0000000000-7f0000001000 rw-p 00000000 00:00 0\nSize:                  4 kB\n", entries));
  ASSERT_TRUE(parse_maps("VmFlags: rd wr mr mw me ac lo \n7f0000001000-7f0000002000 r--p 00000000 00:00 0\n", entries));
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_TRUE(entries[0].has_flag("lo"));
  EXPECT_TRUE(entries[1].vm_flags.empty());
}

TEST(Maps, TellsNothingTwice) {
  auto entries = parse_maps(
      "1000-3000 rw-p 00000000 00:00 0 \n"
      "2000-6000 r--p 00001000 08:01 77 /file\n"
      "4000-5000 rw-p 00000000 00:00 0 \n"
      "6000-7000 rw-p 00000000 00:00 0 \n");
  ASSERT_TRUE(entries);
  make_disjoint(*entries);
  ASSERT_EQ(entries->size(), 3U);
  EXPECT_EQ((*entries)[1].start, 0x3000U);
  EXPECT_EQ((*entries)[1].end, 0x6000U);
  EXPECT_EQ((*entries)[1].offset, 0x2000U);
  EXPECT_EQ((*entries)[2].start, 0x6000U);
}

TEST(Maps, RefusesWhatIsNotALine) {
  EXPECT_FALSE(parse_maps("7f00-"));
  EXPECT_FALSE(parse_maps("7f02-7f01 rw-p 0 00:00 0 \n"));
}

}  // namespace
}  // namespace godwit::proc
