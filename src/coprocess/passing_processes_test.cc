#include "coprocess/passing_processes.h"

#include <gtest/gtest.h>

namespace godwit::coprocess {
namespace {

image::LogicalHost with(std::initializer_list<int> pids, int zombie = 0) {
  image::LogicalHost host;
  for (int pid : pids) {
    image::Process& process = *host.add_processes();
    process.set_pid(pid);
    process.add_threads()->set_tid(pid);
    process.set_zombie(pid == zombie);
  }
  return host;
}

TEST(PassingProcesses, NobodyCame) {
  PassingProcesses passing;
  EXPECT_FALSE(passing.may_have_passed(5, with({2, 3})));
  EXPECT_FALSE(passing.may_have_passed(5, with({2, 3})));
}

TEST(PassingProcesses, WhoeverCameIsHere) {
  PassingProcesses passing;
  EXPECT_FALSE(passing.may_have_passed(5, with({2})));
  EXPECT_FALSE(passing.may_have_passed(7, with({2, 5, 6})));
  image::LogicalHost host = with({2, 5, 6});
  host.mutable_processes(0)->add_threads()->set_tid(7);
  EXPECT_FALSE(passing.may_have_passed(8, host));
}

TEST(PassingProcesses, OneCameAndWent) {
  PassingProcesses passing;
  EXPECT_FALSE(passing.may_have_passed(5, with({2})));
  EXPECT_TRUE(passing.may_have_passed(7, with({2, 6})));
  EXPECT_FALSE(passing.may_have_passed(7, with({2, 6})));
  EXPECT_TRUE(passing.may_have_passed(8, with({2, 6, 7}, 7)));
}

TEST(PassingProcesses, NotKnown) {
  PassingProcesses passing;
  EXPECT_FALSE(passing.may_have_passed(std::nullopt, with({2})));
  EXPECT_TRUE(passing.may_have_passed(5, with({2})));
  EXPECT_TRUE(passing.may_have_passed(3, with({2})));
}

}  // namespace
}  // namespace godwit::coprocess
