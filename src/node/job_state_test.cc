#include "node/job_state.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace godwit::node {
namespace {

constexpr JobState kAll[] = {JobState::starting, JobState::running, JobState::moving, JobState::ended, JobState::gone};

TEST(JobState, TheTableIsTheOneInTheDocuments) {
  std::string expected;
  for (JobState from : kAll) {
    std::string row;
    for (JobState to : {JobState::running, JobState::moving, JobState::ended, JobState::gone}) {
      if (may_change(from, to)) row += (row.empty() ? "" : ", ") + std::string(to_string(to));
    }
    expected += "| " + std::string(to_string(from)) + " | " + row + (row.empty() ? "|\n" : " |\n");
  }
  std::ifstream file(GODWIT_SOURCE_DIR "/docs/states.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(expected), std::string::npos) << expected;
}

}  // namespace
}  // namespace godwit::node
