#include "address_space/page_filler.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace godwit::address_space {
namespace {

constexpr size_t kBytes = size_t{512} << 10;

struct Seen {
  uint64_t start;
  std::byte first;
  bool by_another;  // thread
};

class Filler : public testing::Test {
 protected:
  void SetUp() override {
    auto started = PageFiller::start(
        [this, me = std::this_thread::get_id()](pid_t, auto ranges, auto bytes) -> Result<void> {
          if (ranges[0].start == fail_at_) return error(ErrorKind::corrupt, "no such place");
          seen_.push_back({ranges[0].start, bytes[0], std::this_thread::get_id() != me});
          return {};
        },
        kBytes);
    ASSERT_TRUE(started);
    filler_ = std::move(*started);
  }
  Result<void> put(uint64_t start, size_t size) {
    std::ranges::fill(filler_->room().first(size), static_cast<std::byte>(start));
    return filler_->put(1, {{start, start + size}}, size);
  }
  std::vector<Seen> seen_;
  uint64_t fail_at_ = UINT64_MAX;
  std::unique_ptr<PageFiller> filler_;
};

TEST_F(Filler, PutsAllInOrder) {
  for (uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(put(i, kBytes));
  ASSERT_TRUE(filler_->settle());
  ASSERT_EQ(seen_.size(), 100U);
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(seen_[i].start, i);
    EXPECT_EQ(seen_[i].first, static_cast<std::byte>(i));
    EXPECT_TRUE(seen_[i].by_another);
  }
}

TEST_F(Filler, PutsLittleAtOnceBehindWhatCameBefore) {
  ASSERT_TRUE(put(1, kBytes));
  ASSERT_TRUE(put(2, 4096));
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_EQ(seen_[1].start, 2U);
  EXPECT_FALSE(seen_[1].by_another);
}

TEST_F(Filler, TellsOfAFailureAndPutsNothingMore) {
  fail_at_ = 1;
  ASSERT_TRUE(put(1, kBytes));
  auto settled = filler_->settle();
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().kind, ErrorKind::corrupt);
  EXPECT_FALSE(put(2, kBytes));
  EXPECT_FALSE(put(3, 4096));
  EXPECT_TRUE(seen_.empty());
}

}  // namespace
}  // namespace godwit::address_space
