#include "address_space/write_tracking.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "address_space/range_set.h"

namespace godwit::address_space {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kPages = 64;

// Memory of our own, of which some pages are not there, tracked by ourselves.
class WriteTrackingTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    auto number = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
    if (number < 0) GTEST_SKIP() << "no userfaultfd";
    auto faults = sys::Userfaultfd::for_write_tracking(UniqueFd(number));
    if (!faults) GTEST_SKIP() << "a kernel before 6.7";
    auto pages = sys::PageMap::open(::getpid());
    ASSERT_TRUE(pages);
    tracking_.emplace(std::move(*faults), std::move(*pages));
    memory_ = map();
    for (uint64_t page = 0; page < kPages; page += page == 9 ? 7 : 1) memory_[page * kPage] = 1;
  }
  static char* map() {
    void* at = ::mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, GetParam() | MAP_ANONYMOUS, -1, 0);
    return static_cast<char*>(at);
  }
  static sys::AddressRange all_of(const char* memory) {
    auto start = reinterpret_cast<uint64_t>(memory);
    return {start, start + kPages * kPage};
  }
  uint64_t written(const char* memory, WriteTracking::Protect protect) {
    std::vector<sys::AddressRange> ranges;
    EXPECT_TRUE(tracking_->written_there(all_of(memory), protect, ranges));
    uint64_t bytes = 0;
    for (const sys::AddressRange& range : ranges) bytes += range.size();
    return bytes / kPage;
  }
  std::optional<WriteTracking> tracking_;
  char* memory_ = nullptr;
};

constexpr uint64_t kThere = kPages - 6;

TEST_P(WriteTrackingTest, WhatIsCoveredCountsAsWrittenAndThenWhatIs) {
  ASSERT_TRUE(tracking_->cover(all_of(memory_)));
  EXPECT_EQ(written(memory_, WriteTracking::Protect::yes), kThere);
  EXPECT_EQ(written(memory_, WriteTracking::Protect::no), 0u);
  memory_[3 * kPage] = 2;
  EXPECT_EQ(written(memory_, WriteTracking::Protect::no), 1u);
}

// A part is moved away and back: the kernel makes one mapping of it and its neighbours, tracks that no longer, and
// leaves the neighbours' pages protected.
TEST_P(WriteTrackingTest, WhatWasMergedCountsAsWrittenWhenItIsCoveredAnew) {
  ASSERT_TRUE(tracking_->cover(all_of(memory_)));
  EXPECT_EQ(written(memory_, WriteTracking::Protect::yes), kThere);
  constexpr uint64_t kHalf = kPages / 2 * kPage;
  char *there = map(), *home = memory_ + kHalf;
  ASSERT_EQ(::mremap(home, kHalf, kHalf, MREMAP_MAYMOVE | MREMAP_FIXED, there), there);
  ASSERT_EQ(::mremap(there, kHalf, kHalf, MREMAP_MAYMOVE | MREMAP_FIXED, home), home);
  std::vector<sys::AddressRange> ranges;
  auto looked = tracking_->written_there(all_of(memory_), WriteTracking::Protect::no, ranges);
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().kind, ErrorKind::denied);
  memory_[0] = 2;
  ASSERT_TRUE(tracking_->cover(all_of(memory_)));
  EXPECT_EQ(written(memory_, WriteTracking::Protect::yes), kThere);
}

INSTANTIATE_TEST_SUITE_P(Kinds, WriteTrackingTest, testing::Values(MAP_PRIVATE, MAP_SHARED));

}  // namespace
}  // namespace godwit::address_space
