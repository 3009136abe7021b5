#include "sys/survivor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "sys/text_file.h"

namespace godwit::sys {
namespace {

// A child of ours starts a survivor and dies; what the file holds when the pipe that both had open is closed.
std::string left_by(bool arm, bool killed) {
  char path[] = "/tmp/survivor-XXXXXX";
  ::close(::mkstemp(path));
  int pipe[2];
  EXPECT_EQ(::pipe(pipe), 0);
  pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    {
      auto survivor = Survivor::start(path, "gone");
      if (survivor && arm) survivor->arm();
      if (killed) ::kill(::getpid(), SIGKILL);
    }
    ::_exit(0);
  }
  ::close(pipe[1]);
  ::waitpid(child, nullptr, 0);
  char byte = 0;
  EXPECT_EQ(::read(pipe[0], &byte, 1), 0);  // nobody has it open any more
  ::close(pipe[0]);
  auto text = read_text(path);
  ::unlink(path);
  return text ? *text : "unreadable";
}

TEST(Survivor, WritesWhenItsProcessIsKilled) { EXPECT_EQ(left_by(true, true), "gone"); }

TEST(Survivor, WritesNothingUnlessArmed) { EXPECT_EQ(left_by(false, true), ""); }

TEST(Survivor, EndsWithItsScope) { EXPECT_EQ(left_by(true, false), ""); }

}  // namespace
}  // namespace godwit::sys
