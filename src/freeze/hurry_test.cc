#include "freeze/hurry.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace godwit::freeze {
namespace {

class Child {
 public:
  explicit Child(int nice) : pid_(::fork()) {
    if (pid_ == 0) {
      for (;;) ::pause();
    }
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid_), nice);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

TEST(Hurry, EndsWithTheScopeAndKeepsTheNiceLevel) {
  Child child(7);
  {
    Hurry hurry = Hurry::along(child.pid());
    if (::sched_getscheduler(child.pid()) == SCHED_OTHER) GTEST_SKIP() << "no real-time share here";
    EXPECT_EQ(::sched_getscheduler(child.pid()), SCHED_FIFO | SCHED_RESET_ON_FORK);
  }
  EXPECT_EQ(::sched_getscheduler(child.pid()), SCHED_OTHER);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(child.pid())), 7);
}

TEST(Hurry, WhatAKilledWorkerLeftIsPutBack) {
  Child child(5);
  pid_t worker = ::fork();
  if (worker == 0) {
    Hurry hurry = Hurry::along(child.pid());
    ::_exit(0);  // as good as killed: no destructor runs
  }
  ::waitpid(worker, nullptr, 0);
  if (::sched_getscheduler(child.pid()) == SCHED_OTHER) GTEST_SKIP() << "no real-time share here";
  char directory[] = "/tmp/hurry-test-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  std::string file = std::string(directory) + "/cgroup.threads";
  std::ofstream(file) << child.pid() << "\n";
  end_hurry_in(directory);
  EXPECT_EQ(::sched_getscheduler(child.pid()), SCHED_OTHER);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(child.pid())), 5);
  std::filesystem::remove_all(directory);
}

TEST(Hurry, AnotherPolicyIsLeftAlone) {
  Child child(0);
  sched_param none{0};
  ASSERT_EQ(::sched_setscheduler(child.pid(), SCHED_BATCH, &none), 0);
  {
    Hurry hurry = Hurry::along(child.pid());
  }
  EXPECT_EQ(::sched_getscheduler(child.pid()), SCHED_BATCH);
}

}  // namespace
}  // namespace godwit::freeze
