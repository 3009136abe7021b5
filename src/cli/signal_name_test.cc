#include "cli/signal_name.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace godwit::cli {
namespace {

TEST(SignalName, NamesAndNumbers) {
  EXPECT_EQ(signal_number("TERM").value(), SIGTERM);
  EXPECT_EQ(signal_number("sigusr1").value(), SIGUSR1);
  EXPECT_EQ(signal_number("9").value(), SIGKILL);
  EXPECT_EQ(signal_number("RTMIN+2").value(), SIGRTMIN + 2);
  for (const char* bad : {"", "0", "65", "-9", "TERMINATE", "RTMIN+99", "RTMIN-1", "9x"})
    EXPECT_FALSE(signal_number(bad)) << bad;
}

}  // namespace
}  // namespace godwit::cli
