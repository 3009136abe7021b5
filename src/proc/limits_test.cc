#include "proc/limits.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace godwit::proc {
namespace {

constexpr std::string_view kLimits6_18 =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              unlimited            unlimited            seconds   \n"
    "Max file size             unlimited            unlimited            bytes     \n"
    "Max data size             unlimited            unlimited            bytes     \n"
    "Max stack size            8388608              unlimited            bytes     \n"
    "Max core file size        0                    unlimited            bytes     \n"
    "Max resident set          unlimited            unlimited            bytes     \n"
    "Max processes             96365                96365                processes \n"
    "Max open files            1024                 20000                files     \n"
    "Max locked memory         8388608              8388608              bytes     \n"
    "Max address space         unlimited            unlimited            bytes     \n"
    "Max file locks            unlimited            unlimited            locks     \n"
    "Max pending signals       96365                96365                signals   \n"
    "Max msgqueue size         819200               819200               bytes     \n"
    "Max nice priority         0                    0                    \n"
    "Max realtime priority     0                    0                    \n"
    "Max realtime timeout      unlimited            unlimited            us        \n";

TEST(Limits, ReadsAllInOrder) {
  auto limits = parse_limits(kLimits6_18);
  ASSERT_TRUE(limits) << limits.error().message();
  ASSERT_EQ(limits->size(), 16u);
  for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ((*limits)[i].resource, i);
  EXPECT_EQ((*limits)[RLIMIT_NOFILE].soft, 1024u);
  EXPECT_EQ((*limits)[RLIMIT_NOFILE].hard, 20000u);
  EXPECT_EQ((*limits)[RLIMIT_STACK].hard, kUnlimited);
  EXPECT_EQ((*limits)[RLIMIT_NICE].hard, 0u);
}

TEST(Limits, RefusesWhatIsCutOrWrong) {
  EXPECT_FALSE(parse_limits(""));
  EXPECT_FALSE(parse_limits(kLimits6_18.substr(0, 700)));
  std::string text(kLimits6_18);
  text.replace(text.find("96365"), 5, "9636x");
  EXPECT_FALSE(parse_limits(text));
}

}  // namespace
}  // namespace godwit::proc
