#include "address_space/unplaced_pages.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "address_space/page_stream.h"

namespace godwit::address_space {
namespace {

class Unplaced : public testing::Test {
 protected:
  void SetUp() override {
    file_ = ::memfd_create("file", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(file_, kPageBytes), 0);
    area_ = static_cast<std::byte*>(
        ::mmap(nullptr, 4 * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file_, 0));  // of a page that is there
    ASSERT_NE(area_, MAP_FAILED);
    auto memory = sys::MemoryFile::open(::getpid());
    ASSERT_TRUE(memory);
    memory_.emplace(std::move(*memory));
  }
  void TearDown() override {
    ::munmap(area_, 4 * kPageBytes);
    ::close(file_);
  }
  Result<void> write(uint64_t page, uint64_t count, char content) {
    std::vector<std::byte> bytes(count * kPageBytes, static_cast<std::byte>(content));
    return pages_.write(*memory_, address(page), bytes);
  }
  uint64_t address(uint64_t page) const { return reinterpret_cast<uint64_t>(area_) + page * kPageBytes; }

  int file_ = -1;
  std::byte* area_ = nullptr;
  std::optional<sys::MemoryFile> memory_;
  UnplacedPages pages_;
};

TEST_F(Unplaced, AreKeptUntilTheFileHasGrown) {
  ASSERT_TRUE(write(0, 3, 'a'));
  EXPECT_EQ(area_[0], std::byte{'a'});
  EXPECT_FALSE(pages_.empty());
  auto too_early = pages_.place(*memory_);
  ASSERT_FALSE(too_early);
  EXPECT_TRUE(UnplacedPages::are(too_early.error()));
  ASSERT_TRUE(write(2, 1, 'b'));
  ASSERT_EQ(::ftruncate(file_, 4 * kPageBytes), 0);
  ASSERT_TRUE(pages_.place(*memory_));
  EXPECT_TRUE(pages_.empty());
  EXPECT_EQ(area_[kPageBytes], std::byte{'a'});
  EXPECT_EQ(area_[2 * kPageBytes], std::byte{'b'});
}

TEST_F(Unplaced, AreForgottenWithTheirMapping) {
  ASSERT_TRUE(write(1, 2, 'a'));
  pages_.forget({address(1), address(3)});
  EXPECT_TRUE(pages_.empty());
}

TEST_F(Unplaced, WhatHasAPlaceByNowReplacesThem) {
  ASSERT_TRUE(write(1, 1, 'a'));
  ASSERT_EQ(::ftruncate(file_, 4 * kPageBytes), 0);
  ASSERT_TRUE(write(1, 1, 'b'));
  EXPECT_TRUE(pages_.empty());
  EXPECT_EQ(area_[kPageBytes], std::byte{'b'});
}

}  // namespace
}  // namespace godwit::address_space
