#include "freeze/slowed_job.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sys/text_file.h"

namespace godwit::freeze {
namespace {

namespace fs = std::filesystem;

// Plain files in the place of the kernel's: what would be written to it, and where.
class SlowedJobFiles : public testing::Test {
 protected:
  void SetUp() override {
    top_ = fs::temp_directory_path() / ("godwit-slowed-" + std::to_string(::getpid()));
    for (const char* directory : {"", "/godwit", "/godwit/node1-1", "/godwit/node1-1/procs"}) make(directory);
    put("/godwit/node1-1/procs/cpu.max", "max 100000");
  }
  void TearDown() override { fs::remove_all(top_); }
  void make(const std::string& directory) {
    fs::create_directories(top_ + directory);
    put(directory + "/cgroup.subtree_control", "");
    put(directory + "/cgroup.procs", "");
  }
  void put(const std::string& file, const std::string& text) { std::ofstream(top_ + file) << text; }
  std::string text(const std::string& file) { return sys::read_text(top_ + file).value_or("none"); }

  std::string top_;
};

TEST_F(SlowedJobFiles, Version2LimitsTheJobsOwnCgroup) {
  std::string job = top_ + "/godwit/node1-1";
  {
    auto slowed = SlowedJob::prepare({.version = 2, .mount = top_, .directory = {}}, job);
    ASSERT_TRUE(slowed);
    EXPECT_EQ(text("/godwit/node1-1/procs/cpu.max"), "max 100000");
    ASSERT_TRUE(slowed->hold_to(0.5));
    for (const char* each : {"", "/godwit", "/godwit/node1-1"}) {
      EXPECT_EQ(text(std::string(each) + "/cgroup.subtree_control"), "+cpu");
    }
    EXPECT_EQ(text("/godwit/node1-1/procs/cpu.max"), "5000 10000");
    ASSERT_TRUE(slowed->hold_to(0.02));  // a quota below a millisecond is refused: the period grows instead
    EXPECT_TRUE(text("/godwit/node1-1/procs/cpu.max").starts_with("1000 50000"));
  }
  EXPECT_TRUE(text("/godwit/node1-1/procs/cpu.max").starts_with("max"));
  EXPECT_TRUE(text("/godwit/node1-1/cgroup.subtree_control").starts_with("-cpu"));
}

TEST_F(SlowedJobFiles, WhatIsNeverHeldIsNeverTouched) {
  {
    auto slowed = SlowedJob::prepare({.version = 2, .mount = top_, .directory = {}}, top_ + "/godwit/node1-1");
    ASSERT_TRUE(slowed);
  }
  EXPECT_EQ(text("/godwit/node1-1/procs/cpu.max"), "max 100000");
  EXPECT_EQ(text("/godwit/node1-1/cgroup.subtree_control"), "");
}

TEST_F(SlowedJobFiles, AJobThatIsGoneIsToldOf) {
  auto slowed = SlowedJob::prepare({.version = 1, .mount = top_, .directory = top_}, top_ + "/godwit/node1-2");
  ASSERT_FALSE(slowed);
  EXPECT_EQ(slowed.error().kind, ErrorKind::gone);
}

}  // namespace
}  // namespace godwit::freeze
