#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace godwit {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return error(ErrorKind::corrupt, "odd");
  return value / 2;
}

Result<int> quarter(int value) {
  int first = TRY(half(value));
  return TRY(half(first).within("second half"));
}

TEST(Result, TryTakesTheValueOrReturnsTheError) {
  EXPECT_EQ(*quarter(8), 2);
  auto failed = quarter(6);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "second half: odd");
  EXPECT_EQ(failed.error().kind, ErrorKind::corrupt);
}

TEST(Result, MovesMoveOnlyValues) {
  auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  auto use = [&]() -> Result<int> {
    std::unique_ptr<int> value = TRY(make());
    return *value;
  };
  EXPECT_EQ(*use(), 7);
}

TEST(Error, MessageNamesCallAndReason) {
  Error failure{ErrorKind::denied, EPERM, "ptrace", "seizing pid 4"};
  EXPECT_EQ(failure.message(), "seizing pid 4: ptrace: Operation not permitted");
}

}  // namespace
}  // namespace godwit
