#include "lab/child_task.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "sys/child_process.h"

namespace godwit::lab {
namespace {

TEST(ChildTaskTest, ValuesAndErrorsComeBack) {
  auto pid = run_in_child([]() -> Result<std::string> { return std::to_string(::getppid()); });
  ASSERT_TRUE(pid);
  EXPECT_EQ(*pid, std::to_string(::getpid()));
  auto failure = run_in_child([]() -> Result<std::string> { return Error{ErrorKind::denied, 13, "mount", "a place"}; });
  ASSERT_FALSE(failure);
  EXPECT_EQ(failure.error().kind, ErrorKind::denied);
  EXPECT_EQ(failure.error().message(), "a place: mount: Permission denied");
}

TEST(ChildTaskTest, ADeadChildIsAnError) {
  auto result = run_in_child([]() -> Result<std::string> { ::_exit(0); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::gone);
}

TEST(ChildTaskTest, StartTellsWhyAProgramDidNotBegin) {
  const std::string name[] = {"there-is-no-such-program"};
  auto child = start_in_child([&] { return sys::execute(name[0], name, {}); });
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind, ErrorKind::gone);
  EXPECT_EQ(child.error().call, "execve");
}

TEST(ChildTaskTest, ProgramsGetTheirInputAndAreHeard) {
  auto nothing = [] { return Result<void>(); };
  EXPECT_TRUE(run_program({"sh", "-c", "read line; test \"$line\" = word"}, "word\n", nothing));
  auto failure = run_program({"sh", "-c", "echo no good >&2; exit 3"}, "", nothing);
  ASSERT_FALSE(failure);
  EXPECT_EQ(failure.error().message(), "sh: no good");
  auto refused = run_program({"true"}, "", [] { return Result<void>(error(ErrorKind::denied, "not now")); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
}

}  // namespace
}  // namespace godwit::lab
