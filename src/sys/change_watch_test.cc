#include "sys/change_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace godwit::sys {
namespace {

namespace fs = std::filesystem;

TEST(ChangeWatch, ADirectoryThatIsGoneDoesNotMakeItBlind) {
  std::string path = testing::TempDir() + "change-watch-XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  ChangeWatch watch;
  EXPECT_TRUE(*watch.changed());
  watch.add(path);
  watch.add(path + "/gone");
  EXPECT_FALSE(*watch.changed());
  std::ofstream(path + "/new") << "x";
  EXPECT_TRUE(*watch.changed());
  EXPECT_FALSE(*watch.changed());
  fs::remove_all(path);
}

}  // namespace
}  // namespace godwit::sys
