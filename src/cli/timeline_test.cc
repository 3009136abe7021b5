#include "cli/timeline.h"

#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

TEST(Timeline, DrawsSourceDestinationAndFigures) {
  std::string text = draw_timeline({"node1", "n2", 118.2, 3.208, 4.1}, 80);
  EXPECT_EQ(text,
            "  node1 |========= running =========|...... frozen ......|   frees the rest\n"
            "  n2    |         prepares          |..... restores .....|===== running ======|\n"
            "         <-------- 118 ms ---------> <---- 3.21 ms -----> <---- 4.10 ms ----->\n");
}

TEST(Timeline, KeepsItsShapeWhateverTheFigures) {
  for (double freeze : {0.0, 1e-3, 5e5}) {
    std::string text = draw_timeline({"a", "b", 0, freeze, 0}, 10);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
    EXPECT_NE(text.find("frozen"), std::string::npos);
  }
}

}  // namespace
}  // namespace godwit::cli
