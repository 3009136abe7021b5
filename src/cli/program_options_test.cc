#include "cli/program_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

using testing::ElementsAre;

TEST(MergedEnvironment, ChangesReplaceOrAdd) {
  EXPECT_THAT(merged_environment({"A=1", "B=2"}, {"B=x=y", "C=", "A", "D"}).value(), ElementsAre("A=1", "B=x=y", "C="));
}

TEST(MergedEnvironment, AVariableNeedsAName) { EXPECT_FALSE(merged_environment({}, {"=1"})); }

TEST(SessionExitCode, IsThatOfALocalChild) {
  auto code = [](SessionEnd end) { return exit_code_of_session(end, "sim"); };
  EXPECT_EQ(code({.kind = SessionEnd::Kind::ended, .status = 7 << 8}), 7);
  EXPECT_EQ(code({.kind = SessionEnd::Kind::ended, .status = 15}), 143);
  EXPECT_EQ(code({.kind = SessionEnd::Kind::interrupted, .status = 2}), 130);
  EXPECT_EQ(code({.kind = SessionEnd::Kind::detached}), 0);
}

}  // namespace
}  // namespace godwit::cli
