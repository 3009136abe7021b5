#include "cli/table.h"

#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

TEST(Table, AlignsColumnsAndLeavesNoTrailingBlanks) {
  Table table({{"JOB"}, {"PID", Table::Align::right}, {"NAME"}});
  table.add({"node1-1", "7", ""});
  table.add({"é", "12345", "sim"});
  EXPECT_EQ(table.text(),
            "JOB        PID  NAME\n"
            "node1-1      7\n"
            "é        12345  sim\n");
}

TEST(Table, WrapsTheLastColumn) {
  Table table({{"A"}, {"WHY"}});
  table.add({"x", "one two three four five six seven"});
  EXPECT_EQ(table.text(24),
            "A  WHY\n"
            "x  one two three four\n"
            "   five six seven\n");
}

TEST(Table, AProgramsNameCannotMoveTheCursor) { EXPECT_EQ(printable("a\x1b[2Jb\nc"), "a?[2Jb?c"); }

}  // namespace
}  // namespace godwit::cli
