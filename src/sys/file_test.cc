#include "sys/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace godwit::sys {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(FileTest, ReopensAFileWithoutAName) {
  auto file = open_path(testing::TempDir(), O_TMPFILE | O_RDWR, 0600);
  if (!file) GTEST_SKIP() << "no O_TMPFILE here: " << file.error().message();
  ASSERT_TRUE(write_at(file->get(), 3, bytes("abc")));
  auto again = reopen(file->get(), O_RDONLY);
  ASSERT_TRUE(again) << again.error().message();
  std::byte read[6];
  ASSERT_TRUE(read_at(again->get(), 0, read));
  EXPECT_EQ(read[3], std::byte{'a'});
  EXPECT_FALSE(write_at(again->get(), 0, bytes("x")));
}

TEST(FileTest, FindsDataBetweenHoles) {
  auto file = open_path(testing::TempDir(), O_TMPFILE | O_RDWR, 0600);
  if (!file) GTEST_SKIP() << "no O_TMPFILE here: " << file.error().message();
  constexpr uint64_t kFar = 4 << 20;
  ASSERT_TRUE(write_at(file->get(), kFar, bytes("data")));
  ASSERT_TRUE(set_size(file->get(), 2 * kFar));
  auto first = next_data(file->get(), 0);
  ASSERT_TRUE(first && *first);
  EXPECT_LE((*first)->start, kFar);
  EXPECT_GT((*first)->end, kFar);
  auto behind = next_data(file->get(), (*first)->end);
  ASSERT_TRUE(behind);
  bool all_data = (*first)->end == 2 * kFar;  // a file system without holes
  EXPECT_TRUE(all_data || !behind->has_value());
}

}  // namespace
}  // namespace godwit::sys
