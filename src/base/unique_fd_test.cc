#include "base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace godwit {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST(UniqueFd, ClosesOnceWhenItGoes) {
  int number = -1;
  {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    number = fd.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, MoveLeavesTheOtherEmpty) {
  UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int number = first.get();
  UniqueFd second = std::move(first);
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): what is tested
  EXPECT_EQ(second.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, ReleaseGivesUpOwnership) {
  int number = -1;
  {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    number = fd.release();
  }
  EXPECT_TRUE(is_open(number));
  UniqueFd owner(number);
}

}  // namespace
}  // namespace godwit
