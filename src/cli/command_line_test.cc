#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_code.h"

namespace godwit::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A tree like godwit's own, with what it parsed last.
struct Parsed {
  std::string which, name, lab, node, job, memory;
  bool detach = false, input = false, terminal = false;
  double timeout_ms = -1;
  unsigned count = 0;
  std::vector<std::string> command, environment, jobs;

  int run(const std::vector<std::string>& arguments) {
    CommandLine line("godwit", "help");
    Command root = line.root();
    auto does = [this](const char* what) {
      return [this, what] {
        which = what;
        return 42;
      };
    };
    Command run = root.command("run", "starts");
    run.flag("-d,--detach", detach, "")
        .flag("-i,--interactive", input, "")
        .flag("-t,--tty", terminal, "")
        .option("--name", name, "NAME", "")
        .repeated("-e,--env", environment, "NAME=VALUE", "")
        .option("--lab", lab, "NAME", "")
        .verbatim("COMMAND", command, "")
        .action(does("run"));
    root.command("exec", "")
        .option("--lab", lab, "NAME", "")
        .argument("JOB", job, "")
        .verbatim("COMMAND", command, "")
        .action(does("exec"));
    root.command("move", "")
        .argument("JOB", job, "")
        .choice("--memory", memory, {"total", "hybrid"}, "")
        .duration("--timeout", timeout_ms, "")
        .action(does("move"));
    root.command("kill", "").arguments("JOB", jobs, "").action(does("kill"));
    Command lab_group = root.command("lab", "");
    lab_group.command("up", "")
        .number_argument("N", count, 1, 9, "")
        .option("--lab", lab, "NAME", "")
        .action(does("up"));
    lab_group.command("exec", "").argument("NODE", node, "").verbatim("COMMAND", command, "").action(does("lab exec"));
    return line.run(arguments);
  }
};

TEST(CommandLine, WhatIsRunIsTakenAsItStands) {
  Parsed p;
  EXPECT_EQ(p.run({"run", "-it", "--name", "sim", "-e", "A=1", "-e", "B=2", "ls", "-l", "--name", "x", "--", "-d"}),
            42);
  EXPECT_TRUE(p.input && p.terminal && !p.detach);
  EXPECT_EQ(p.name, "sim");
  EXPECT_THAT(p.environment, ElementsAre("A=1", "B=2"));
  EXPECT_THAT(p.command, ElementsAre("ls", "-l", "--name", "x", "--", "-d"));
}

TEST(CommandLine, TwoDashesEndTheOptions) {
  Parsed p;
  EXPECT_EQ(p.run({"run", "--name=sim", "-d", "--", "--odd", "ps"}), 42);
  EXPECT_TRUE(p.detach);
  EXPECT_THAT(p.command, ElementsAre("--odd", "ps"));
}

TEST(CommandLine, AJobMayBeCalledAsACommand) {
  Parsed p;
  EXPECT_EQ(p.run({"exec", "run", "move", "kill"}), 42);
  EXPECT_EQ(p.which, "exec");
  EXPECT_EQ(p.job, "run");
  EXPECT_THAT(p.command, ElementsAre("move", "kill"));
  Parsed q;
  EXPECT_EQ(q.run({"kill", "exec", "run"}), 42);
  EXPECT_THAT(q.jobs, ElementsAre("exec", "run"));
}

TEST(CommandLine, OptionsOfExecMayFollowTheJob) {
  Parsed p;
  EXPECT_EQ(p.run({"exec", "sim", "--lab", "two", "--", "ls", "--lab", "x"}), 42);
  EXPECT_EQ(p.lab, "two");
  EXPECT_THAT(p.command, ElementsAre("ls", "--lab", "x"));
}

TEST(CommandLine, CommandsOfCommands) {
  Parsed p;
  EXPECT_EQ(p.run({"lab", "up", "3", "--lab", "b"}), 42);
  EXPECT_EQ(p.count, 3u);
  EXPECT_EQ(p.lab, "b");
  Parsed q;
  EXPECT_EQ(q.run({"lab", "exec", "node1", "--", "sh", "-c", "exit 3"}), 42);
  EXPECT_EQ(q.which, "lab exec");
  EXPECT_THAT(q.command, ElementsAre("sh", "-c", "exit 3"));
}

TEST(CommandLine, DurationsAndChoices) {
  Parsed p;
  EXPECT_EQ(p.run({"move", "sim", "--timeout", "1.5s", "--memory", "total"}), 42);
  EXPECT_EQ(p.timeout_ms, 1500);
  EXPECT_EQ(p.memory, "total");
}

TEST(CommandLine, WhatMakesNoSenseIsAUsageError) {
  const std::vector<std::vector<std::string>> all = {{},
                                                     {"nonsense"},
                                                     {"run"},
                                                     {"run", "-d"},
                                                     {"run", "--odd", "ls"},
                                                     {"move"},
                                                     {"lab"},
                                                     {"lab", "up", "0"},
                                                     {"lab", "up", "many"},
                                                     {"exec", "sim"},
                                                     {"move", "sim", "--memory", "none"},
                                                     {"move", "sim", "--timeout", "soon"},
                                                     {"lab", "exec", "node1"}};
  for (const auto& arguments : all) {
    Parsed p;
    EXPECT_EQ(p.run(arguments), kUsage) << testing::PrintToString(arguments);
    EXPECT_THAT(p.which, IsEmpty());
  }
}

TEST(CommandLine, HelpIsNoError) {
  Parsed p;
  EXPECT_EQ(p.run({"run", "--help"}), 0);
  EXPECT_EQ(p.run({"--help"}), 0);
  EXPECT_THAT(p.which, IsEmpty());
}

}  // namespace
}  // namespace godwit::cli
