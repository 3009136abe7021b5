#include "sys/pidfd.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace godwit::sys {
namespace {

pid_t child(unsigned long flags, void (*work)()) {
  auto pid = static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid == 0) {
    work();
    ::_exit(0);
  }
  return pid;
}

void sleep_on() { ::pause(); }

TEST(Pidfd, SharedDescriptorTablesAreTold) {
  pid_t sharing = child(CLONE_FILES, sleep_on);
  pid_t apart = child(0, sleep_on);
  auto shared = same_descriptor_table(sharing, ::getpid());
  auto other = same_descriptor_table(apart, ::getpid());
  for (pid_t pid : {sharing, apart}) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  ASSERT_TRUE(shared && other);
  EXPECT_TRUE(*shared);
  EXPECT_FALSE(*other);
}

TEST(Pidfd, ADescriptorIsTheSameDifferentOrGone) {
  pid_t holder = child(0, sleep_on);
  int copy = ::dup(0);
  int other = ::memfd_create("other", 0);
  auto same = same_description(holder, 0, copy);
  auto different = same_description(holder, 0, other);
  auto closed = same_description(holder, other, copy);  // made after the child
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  auto ended = same_description(holder, 0, copy);
  ::close(copy);
  ::close(other);
  ASSERT_TRUE(same && different);
  EXPECT_TRUE(*same);
  EXPECT_FALSE(*different);
  ASSERT_FALSE(closed || ended);
  EXPECT_EQ(closed.error().kind, ErrorKind::gone);
  EXPECT_EQ(ended.error().kind, ErrorKind::gone);
}

TEST(Pidfd, TwoThatHaveEndedShareNothing) {
  pid_t pids[2];
  for (pid_t& pid : pids) {
    pid = child(0, [] {});
    siginfo_t ended{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT), 0);
  }
  auto shared = same_descriptor_table(pids[0], pids[1]);
  for (pid_t pid : pids) ::waitpid(pid, nullptr, 0);
  ASSERT_TRUE(shared) << shared.error().message();
  EXPECT_FALSE(*shared);
}

}  // namespace
}  // namespace godwit::sys
