#include "sys/pagemap_scan.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace godwit::sys {
namespace {

constexpr uint64_t kPage = 4096;

// Memory of our own of which every other page is there.
class EveryOther : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    void* at = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(at, MAP_FAILED);
    ::madvise(at, bytes(), MADV_NOHUGEPAGE);
    memory_ = static_cast<char*>(at);
    for (uint64_t page = 0; page < GetParam(); ++page) memory_[page * 2 * kPage] = 1;
  }
  void TearDown() override { ::munmap(memory_, bytes()); }
  static uint64_t bytes() { return GetParam() * 2 * kPage; }
  char* memory_ = nullptr;
};

TEST_P(EveryOther, IsFoundOnce) {
  auto pages = PageMap::open(::getpid());
  ASSERT_TRUE(pages);
  auto start = reinterpret_cast<uint64_t>(memory_);
  std::vector<PageRegion> regions;
  ASSERT_TRUE(pages->scan({start, start + bytes()}, {.any_of = kPagePresent}, regions));
  ASSERT_EQ(regions.size(), GetParam());
  for (uint64_t i = 0; i < regions.size(); ++i) {
    AddressRange expected{start + i * 2 * kPage, start + (i * 2 + 1) * kPage};
    ASSERT_EQ(regions[i].range, expected) << i;
  }
}

// Around the kernel's buffer of 512 regions and ours of 4096.
INSTANTIATE_TEST_SUITE_P(PagemapScan, EveryOther, testing::Values(1, 511, 512, 513, 1000, 4095, 4096, 4097, 9000));

}  // namespace
}  // namespace godwit::sys
