#include "proc/stat.h"

#include <gtest/gtest.h>

namespace godwit::proc {
namespace {

constexpr std::string_view kStat6_18 =
    "7209 (a) b (c) S 7203 7202 3475 34817 7201 4194368 100 0 0 0 0 0 0 0 20 5 3 0 273689 3133440 408 "
    "18446744073709551615 94154829922304 94154829942185 140722306999216 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 "
    "94154829958192 94154829959808 94155152601088 140722307005055 140722307005075 140722307005076 140722307006443 "
    "256\n";

TEST(Stat, ReadsEveryFieldAfterADifficultName) {
  auto stat = parse_stat(kStat6_18);
  ASSERT_TRUE(stat) << stat.error().message();
  EXPECT_EQ(stat->pid, 7209);
  EXPECT_EQ(stat->name, "a) b (c");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->parent, 7203);
  EXPECT_EQ(stat->process_group, 7202);
  EXPECT_EQ(stat->session, 3475);
  EXPECT_EQ(stat->terminal, 34817);
  EXPECT_EQ(stat->foreground_group, 7201);
  EXPECT_FALSE(stat->has_executed());
  EXPECT_EQ(stat->priority, 20);
  EXPECT_EQ(stat->nice, 5);
  EXPECT_EQ(stat->threads, 3);
  EXPECT_EQ(stat->start_time_ticks, 273689u);
  EXPECT_EQ(stat->start_code, 94154829922304u);
  EXPECT_EQ(stat->start_stack, 140722306999216u);
  EXPECT_EQ(stat->exit_signal, 17);
  EXPECT_EQ(stat->start_brk, 94155152601088u);
  EXPECT_EQ(stat->arg_start, 140722307005055u);
  EXPECT_EQ(stat->env_end, 140722307006443u);
  EXPECT_EQ(stat->exit_code, 256);
}

TEST(Stat, RefusesWhatIsCutOrWrong) {
  EXPECT_FALSE(parse_stat(""));
  EXPECT_FALSE(parse_stat("1 (x"));
  EXPECT_FALSE(parse_stat("(x) S"));
  EXPECT_FALSE(parse_stat(kStat6_18.substr(0, 200)));
  std::string text(kStat6_18);
  text.replace(text.find("7203"), 4, "72x3");
  EXPECT_FALSE(parse_stat(text));
}

}  // namespace
}  // namespace godwit::proc
