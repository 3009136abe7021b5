#include "proc/status.h"

#include <gtest/gtest.h>

namespace godwit::proc {
namespace {

// Linux 6.18, in a nested pid namespace.
constexpr std::string_view kStatus6_18 =
    "Name:\ta\\nb\\\\c (x)\nUmask:\t0027\nState:\tS (sleeping)\nTgid:\t7208\nNgid:\t0\nPid:\t7209\nPPid:\t7203\n"
    "TracerPid:\t12\nUid:\t1000\t1001\t1002\t1003\nGid:\t100\t101\t102\t103\nFDSize:\t256\nGroups:\t4 24 1000 \n"
    "NStgid:\t7208\t2\nNSpid:\t7209\t3\nNSpgid:\t7203\t2\nNSsid:\t3475\t2\nKthread:\t0\nVmPeak:\t    3060 kB\n"
    "THP_enabled:\t0\nThreads:\t4\nSigQ:\t0/96365\nSigPnd:\t0000000000000001\nShdPnd:\t0000000200000000\n"
    "SigBlk:\t8000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000180000002\nCapInh:\t0000000000000000\n"
    "CapPrm:\t000001fffeffffff\nCapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000400\n"
    "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

TEST(Status, ReadsEveryField) {
  auto status = parse_status(kStatus6_18);
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(status->name, "a\nb\\c (x)");
  EXPECT_EQ(status->state, 'S');
  EXPECT_EQ(status->umask, 027u);
  EXPECT_EQ(status->pids, (std::vector<int32_t>{7209, 3}));
  EXPECT_EQ(status->process_groups, (std::vector<int32_t>{7203, 2}));
  EXPECT_EQ(status->sessions, (std::vector<int32_t>{3475, 2}));
  EXPECT_EQ(status->thread_group, 7208);
  EXPECT_EQ(status->tracer, 12);
  EXPECT_EQ(status->uids, (std::array<uint32_t, 4>{1000, 1001, 1002, 1003}));
  EXPECT_EQ(status->gids, (std::array<uint32_t, 4>{100, 101, 102, 103}));
  EXPECT_EQ(status->groups, (std::vector<uint32_t>{4, 24, 1000}));
  EXPECT_EQ(status->thread_pending, 1u);
  EXPECT_EQ(status->process_pending, 0x200000000u);
  EXPECT_EQ(status->blocked, 0x8000000000000000u);
  EXPECT_EQ(status->ignored, 0x1000u);
  EXPECT_EQ(status->caught, 0x180000002u);
  EXPECT_EQ(status->cap_permitted, 0x1fffeffffffu);
  EXPECT_EQ(status->cap_ambient, 0x400u);
  EXPECT_TRUE(status->no_new_privs);
  EXPECT_EQ(status->seccomp, 2);
  EXPECT_EQ(status->threads, 4u);
  EXPECT_EQ(status->huge_pages, std::optional(false));
}

TEST(Status, OlderKernelAndNoGroups) {
  std::string text(kStatus6_18);
  for (auto [from, to] : {std::pair{"THP_enabled:\t0\n", ""},
                          {"Groups:\t4 24 1000 \n", "Groups:\t \n"},
                          {"Kthread:\t0\n", ""},
                          {"Umask:\t0027\n", ""}}) {
    text.replace(text.find(from), std::string_view(from).size(), to);
  }
  auto status = parse_status(text);
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_TRUE(status->groups.empty());
  EXPECT_FALSE(status->huge_pages);
  EXPECT_EQ(status->umask, 0u);
}

TEST(Status, RefusesWhatIsCutOrWrong) {
  EXPECT_FALSE(parse_status(""));
  EXPECT_FALSE(parse_status("Name:\tx\n"));
  for (std::string_view line : {"Uid:", "SigCgt:", "NSpid:", "State:", "Threads:"}) {
    std::string text(kStatus6_18);
    size_t at = text.find(line);
    text.erase(at, text.find('\n', at) - at + 1);
    EXPECT_FALSE(parse_status(text)) << line;
  }
  std::string three(kStatus6_18);
  three.replace(three.find("\t1003"), 5, "");
  EXPECT_FALSE(parse_status(three));
}

}  // namespace
}  // namespace godwit::proc
