#include "objects/file_locks.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <cstdio>

#include "sys/file.h"

namespace godwit::objects {
namespace {

image::Lock lock(image::Lock::Kind kind, bool exclusive, uint64_t start = 0, uint64_t length = 0) {
  image::Lock made;
  made.set_kind(kind);
  made.set_exclusive(exclusive);
  made.set_start(start);
  made.set_length(length);
  return made;
}

TEST(FileLocks, ImpossibleOnesAreNoticed) {
  constexpr uint64_t kLast = INT64_MAX;
  EXPECT_TRUE(check_lock(lock(image::Lock::POSIX, true, kLast, 0)));
  EXPECT_TRUE(check_lock(lock(image::Lock::DESCRIPTION, true, kLast - 5, 5)));
  EXPECT_FALSE(check_lock(lock(image::Lock::POSIX, true, kLast, 1)));
  EXPECT_FALSE(check_lock(lock(image::Lock::POSIX, true, kLast + 1, 0)));
  EXPECT_FALSE(check_lock(lock(static_cast<image::Lock::Kind>(7), true)));
}

// Both sides of a handing over, and one who would like to have it.
class Handover : public testing::TestWithParam<image::Lock::Kind> {};

TEST_P(Handover, NobodyElseGetsIt) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  auto one_more = [&] {
    auto fd = sys::reopen(::fileno(file), O_RDWR);
    EXPECT_TRUE(fd);
    return std::move(*fd);
  };
  image::Lock wanted = lock(GetParam(), true);
  LockSet source, destination, rival;
  UniqueFd held = one_more();
  source.add_here(std::move(*sys::duplicate(held.get())), wanted, "source");
  destination.add_here(one_more(), wanted, "destination");
  rival.add_here(one_more(), wanted, "rival");
  auto rival_gets_it = [&] {
    EXPECT_TRUE(rival.take({}));
    return rival.lacking().empty();
  };
  LockSet program;
  program.add_here(std::move(*sys::duplicate(held.get())), wanted, "program");
  ASSERT_TRUE(program.take({}));
  EXPECT_EQ(program.lacking(), "");
  EXPECT_FALSE(rival_gets_it());
  ASSERT_TRUE(source.share({}));
  EXPECT_FALSE(rival_gets_it());
  ASSERT_TRUE(destination.share({}));
  EXPECT_EQ(destination.lacking(), "destination");
  ASSERT_TRUE(source.release({}));
  EXPECT_FALSE(rival_gets_it());
  ASSERT_TRUE(destination.take({}));
  EXPECT_EQ(destination.lacking(), "");
  EXPECT_FALSE(rival_gets_it());
  destination.release_here();
  EXPECT_TRUE(rival_gets_it());
  std::fclose(file);
}

INSTANTIATE_TEST_SUITE_P(OfDescriptions, Handover, testing::Values(image::Lock::FLOCK, image::Lock::DESCRIPTION));

}  // namespace
}  // namespace godwit::objects
