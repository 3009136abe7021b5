#include "address_space/mirror.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "address_space/page_frame.h"
#include "sys/file.h"

namespace godwit::address_space {
namespace {

constexpr size_t kPages = 8;

class MirrorTest : public ::testing::Test {
 protected:
  MirrorTest() {
    std::array<char, 32> name{"/tmp/godwit-mirror-XXXXXX"};
    directory_ = ::mkdtemp(name.data());
    void* memory = ::mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_ = static_cast<std::byte*>(memory);
    for (size_t i = 0; i < kPages; ++i) std::memset(memory_ + i * kPageBytes, static_cast<int>(i + 1), kPageBytes);
  }
  ~MirrorTest() override {
    ::munmap(memory_, kPages * kPageBytes);
    std::filesystem::remove_all(directory_);
  }
  std::string path() const { return directory_ + "/mirrors/abc"; }
  sys::AddressRange pages(size_t first, size_t end) const {
    auto address = reinterpret_cast<uint64_t>(memory_);
    return {address + first * kPageBytes, address + end * kPageBytes};
  }
  Result<void> write(MirrorWriter& writer) {
    RangeSet owed;
    owed.add(pages(0, 2));
    owed.add(pages(3, 7));
    MirrorWriter::Part part{::getpid(), 42, &owed};
    return writer.write("the order", std::span(&part, 1));
  }

  std::string directory_;
  std::byte* memory_ = nullptr;
};

TEST_F(MirrorTest, GivesWhatWasWritten) {
  auto writer = MirrorWriter::create(path(), kPages * kPageBytes);
  ASSERT_TRUE(writer);
  ::mprotect(memory_, kPageBytes, PROT_NONE);  // what the program may not read itself is there too
  ASSERT_TRUE(write(*writer));
  ::mprotect(memory_, kPageBytes, PROT_READ | PROT_WRITE);
  EXPECT_EQ(writer->pages(), 6u);
  auto mirror = Mirror::open(path());
  ASSERT_TRUE(mirror) << mirror.error().message();
  EXPECT_EQ(mirror->order(), "the order");
  EXPECT_EQ(mirror->pages().at(42).bytes(), 6 * kPageBytes);
  std::vector<std::byte> into(3 * kPageBytes);
  std::array<sys::AddressRange, 2> ranges{pages(0, 1), pages(5, 7)};
  ASSERT_TRUE(mirror->read(42, ranges, into));
  EXPECT_EQ(into.front(), std::byte{1});
  EXPECT_EQ(into[kPageBytes], std::byte{6});
  EXPECT_EQ(into.back(), std::byte{7});
}

TEST_F(MirrorTest, RefusesWhatItDoesNotHave) {
  auto writer = MirrorWriter::create(path(), kPages * kPageBytes);
  ASSERT_TRUE(writer && write(*writer));
  auto mirror = Mirror::open(path());
  ASSERT_TRUE(mirror);
  std::vector<std::byte> into(2 * kPageBytes);
  for (sys::AddressRange missing : {pages(2, 3), pages(1, 3), pages(7, 8)}) {
    EXPECT_FALSE(mirror->read(42, std::span(&missing, 1), into));
  }
  sys::AddressRange there = pages(0, 2);
  EXPECT_FALSE(mirror->read(43, std::span(&there, 1), into));
  EXPECT_FALSE(mirror->read(42, std::span(&there, 1), std::span(into).first(kPageBytes)));
}

TEST_F(MirrorTest, OneThatIsNotKeptLeavesNothing) {
  {
    auto writer = MirrorWriter::create(path(), kPages * kPageBytes);
    ASSERT_TRUE(writer && write(*writer));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/mirrors"));
  {
    auto writer = MirrorWriter::create(path(), kPages * kPageBytes);
    ASSERT_TRUE(writer);
    writer->keep();  // nothing was left behind: there is nothing to keep
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/mirrors"));
  {
    auto writer = MirrorWriter::create(path(), kPages * kPageBytes);
    ASSERT_TRUE(writer && write(*writer));
    writer->keep();
  }
  EXPECT_TRUE(Mirror::open(path()));
  EXPECT_EQ(std::filesystem::status(path()).permissions(), std::filesystem::perms(0600));
}

TEST_F(MirrorTest, OneThatIsCutOffIsNoMirror) {
  auto writer = MirrorWriter::create(path(), kPages * kPageBytes);
  ASSERT_TRUE(writer && write(*writer));
  for (uint64_t size : {3 * kPageBytes, uint64_t{20}, uint64_t{0}}) {
    std::filesystem::resize_file(path(), size);
    EXPECT_FALSE(Mirror::open(path())) << size;
  }
}

TEST_F(MirrorTest, AsksForRoomFirst) {
  auto writer = MirrorWriter::create(path(), uint64_t{1} << 60);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().kind, ErrorKind::exhausted);
}

}  // namespace
}  // namespace godwit::address_space
