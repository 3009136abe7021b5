#include "sys/cpu_controller.h"

#include <gtest/gtest.h>

namespace godwit::sys {
namespace {

constexpr const char* kMixed =
    "30 25 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:28 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
    "33 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
constexpr const char* kUnified = "33 30 0:29 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(CpuController, IsFoundInVersion1WhereThatHasIt) {
  auto found =
      find_cpu_controller(kMixed, "3:cpuset:/\n1:cpu,cpuacct:/system.slice/godwitd.service\n0::/a\n", "hugetlb\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, 1);
  EXPECT_EQ(found->mount, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(found->directory, "/sys/fs/cgroup/cpu,cpuacct/system.slice/godwitd.service");
}

TEST(CpuController, OwnDirectoryInTheTopCgroup) {
  auto found = find_cpu_controller(kMixed, "1:cpu:/\n", "");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->directory, found->mount);
}

TEST(CpuController, IsFoundInVersion2) {
  auto found = find_cpu_controller(kUnified, "0::/system.slice\n", "cpuset cpu io memory pids\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, 2);
  EXPECT_EQ(found->mount, "/sys/fs/cgroup");
}

TEST(CpuController, CpusetIsNotIt) {
  auto found = find_cpu_controller(kUnified, "0::/\n", "cpuset io memory\n");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::unsupported);
}

}  // namespace
}  // namespace godwit::sys
