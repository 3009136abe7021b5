#include "address_space/page_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "address_space/page_frame.h"
#include "sys/file.h"

namespace godwit::address_space {
namespace {

class PageCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/godwit-page-cache-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/caches/job-1";
    void* at = ::mmap(nullptr, 3 * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(at, MAP_FAILED);
    memory_ = static_cast<unsigned char*>(at);
    std::memset(memory_, 1, kPageBytes);
    std::memset(memory_ + 2 * kPageBytes, 3, kPageBytes);  // the one between is zero
  }
  void TearDown() override {
    ::munmap(memory_, 3 * kPageBytes);
    std::filesystem::remove_all(directory_);
  }
  Result<void> write() {
    auto writer = TRY(PageCacheWriter::create(path_));
    auto start = reinterpret_cast<uint64_t>(memory_);
    sys::AddressRange range{start, start + 3 * kPageBytes};
    TRY(writer.add(::getpid(), std::span(&range, 1)));
    return writer.finish();
  }
  bool may_be_opened() const { return ::getuid() == 0; }  // a cache is root's alone

  std::string directory_, path_;
  unsigned char* memory_ = nullptr;
};

TEST_F(PageCacheTest, HoldsThePagesThatAreNotZero) {
  ASSERT_TRUE(write());
  auto status = sys::status_of(path_);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->st_mode & 0777, 0600U);
  EXPECT_EQ(static_cast<uint64_t>(status->st_size), 3 * kPageBytes + 2 * sizeof(sys::Sha256));
  auto cache = PageCache::open(path_);
  ASSERT_EQ(cache.has_value(), may_be_opened());
  if (!cache) return;  // it is refused to whoever is not root
  auto beginnings = cache->beginnings();
  ASSERT_TRUE(beginnings);
  ASSERT_EQ(beginnings->size(), 2U);
  std::vector<std::byte> page(kPageBytes);
  ASSERT_TRUE(cache->read(1, page));
  EXPECT_EQ(page, std::vector<std::byte>(kPageBytes, std::byte{3}));
  sys::Sha256 digest = sys::sha256_digest(page);
  EXPECT_EQ(std::memcmp(&beginnings->at(1), digest.data(), sizeof(uint64_t)), 0);
  EXPECT_FALSE(cache->read(2, page));
}

TEST_F(PageCacheTest, HoldsWhatAMemoryObjectHas) {
  UniqueFd object(::memfd_create("object", MFD_CLOEXEC));
  std::vector<std::byte> ones(kPageBytes, std::byte{1}), end(100, std::byte{2});
  ASSERT_TRUE(sys::write_at(object.get(), 0, ones));
  ASSERT_TRUE(sys::write_at(object.get(), (uint64_t{1} << 40) + 2 * kPageBytes, end));  // behind a hole, half a page
  {
    auto writer = PageCacheWriter::create(path_);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->add_object(object.get()));
    ASSERT_TRUE(writer->finish());
  }
  if (!may_be_opened()) return;
  auto cache = PageCache::open(path_);
  ASSERT_TRUE(cache);
  std::vector<std::byte> page(kPageBytes);
  ASSERT_TRUE(cache->read(0, page));
  EXPECT_EQ(page, ones);
  ASSERT_TRUE(cache->read(1, page));
  end.resize(kPageBytes);
  EXPECT_EQ(page, end);
  EXPECT_FALSE(cache->read(2, page));
}

TEST_F(PageCacheTest, WhatIsNotFinishedLeavesNothing) {
  {
    ASSERT_TRUE(PageCacheWriter::create(path_));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/caches"));
}

TEST_F(PageCacheTest, IsNotOpenedWhenItIsCutOffOrAnother) {
  ASSERT_TRUE(write());
  std::filesystem::resize_file(path_, 3 * kPageBytes);
  EXPECT_FALSE(PageCache::open(path_));
  ASSERT_TRUE(write());
  auto fd = sys::open_path(path_, O_WRONLY);
  ASSERT_TRUE(fd);
  uint64_t many = ~uint64_t{0};
  ASSERT_TRUE(sys::write_at(fd->get(), 16, std::as_bytes(std::span(&many, 1))));
  EXPECT_FALSE(PageCache::open(path_));
  EXPECT_FALSE(PageCache::open(path_ + "-2"));
}

TEST_F(PageCacheTest, OldOnesGo) {
  ASSERT_TRUE(write());
  EXPECT_EQ(expire_page_caches(directory_ + "/caches"), std::vector<std::string>{"job-1"});
  std::filesystem::last_write_time(path_, std::filesystem::file_time_type::clock::now() - std::chrono::hours(8 * 24));
  EXPECT_TRUE(expire_page_caches(directory_ + "/caches").empty());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(PageCacheTest, LiesBesideTheJobsOfTheNode) {
  EXPECT_EQ(page_cache_of("/var/lib/godwit/jobs/node1-7"), "/var/lib/godwit/page-cache/node1-7");
}

}  // namespace
}  // namespace godwit::address_space
