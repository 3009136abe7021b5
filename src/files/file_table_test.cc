#include "files/file_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sys/file.h"

namespace godwit::files {
namespace {

namespace fs = std::filesystem;

// This process stands for a job.
class FileTableTest : public testing::Test {
 protected:
  FileTableTest() {
    std::string pattern = testing::TempDir() + "/table-XXXXXX";
    root_ = fs::canonical(::mkdtemp(pattern.data()));
    table_.emplace(*FileTable::of_job(::getpid()));
  }
  ~FileTableTest() override { fs::remove_all(root_); }
  // As it is found among the descriptors of a process.
  uint32_t add(const UniqueFd& fd, FileUse use = {}) {
    std::string link = *sys::link_of(fd.get());
    return *table_->add(fd.get(), link, use);
  }
  UniqueFd open(const std::string& name, int flags = O_RDWR | O_CREAT) {
    return *sys::open_path(root_ / name, flags, 0600);
  }

  fs::path root_;
  std::optional<FileTable> table_;
};

TEST_F(FileTableTest, OneEntryForOneFileHoweverOftenItIsOpen) {
  UniqueFd first = open("f");
  UniqueFd second = open("f", O_PATH);
  EXPECT_EQ(add(second), 1u);
  EXPECT_EQ(add(first, {.written = true}), 1u);
  EXPECT_EQ(add(second), 1u);
  const image::File& file = table_->get(1);
  EXPECT_TRUE(file.written());
  EXPECT_EQ(file.path(), root_ / "f");
  EXPECT_FALSE(file.mount_point().empty());
  EXPECT_FALSE(file.filesystem().empty());
  auto components = static_cast<int>(std::distance(root_.begin(), root_.end())) - 1;
  EXPECT_EQ(file.parents_size(), components);
  EXPECT_EQ(file.parents(components - 1).mode(), 0700u);
}

TEST_F(FileTableTest, KnowsWhatHasNoNameAnyMore) {
  UniqueFd fd = open("f");
  fs::remove(root_ / "f");
  EXPECT_TRUE(table_->get(add(fd)).unlinked());
  EXPECT_EQ(table_->get(1).path(), root_ / "f");
  ASSERT_TRUE(sys::write_at(fd.get(), 0, std::as_bytes(std::span("text"))));
  image::LogicalHost host;
  ASSERT_TRUE(table_->fill(host));
  EXPECT_EQ(host.files(0).size(), 5u);
  EXPECT_TRUE(host.files(0).unlinked());
  EXPECT_TRUE(table_->readable_fd(1));
}

TEST_F(FileTableTest, FollowsRenames) {
  UniqueFd fd = open("f");
  add(fd);
  fs::rename(root_ / "f", root_ / "g");
  EXPECT_EQ(table_->get(add(fd)).path(), root_ / "g");
  EXPECT_FALSE(table_->get(1).unlinked());
}

TEST_F(FileTableTest, TellsNewNamesOfWhatNobodyHasOpenAnyMore) {
  UniqueFd fd = open("f");
  add(fd);
  fd.reset();
  fs::create_directory(root_ / "d");
  fs::rename(root_ / "f", root_ / "d" / "g");
  image::LogicalHost host;
  table_->look_anew();
  ASSERT_TRUE(table_->fill(host));
  EXPECT_EQ(host.files(0).path(), root_ / "d" / "g");
  table_->settle_name(1);
  fs::rename(root_ / "d", root_ / "e");  // the file itself is as it was
  table_->look_anew();
  ASSERT_TRUE(table_->fill(host));
  EXPECT_EQ(host.files(0).path(), root_ / "d" / "g");
  fs::rename(root_ / "e" / "g", root_ / "h");
  ASSERT_TRUE(table_->fill(host));
  EXPECT_EQ(host.files(0).path(), root_ / "h");
}

TEST_F(FileTableTest, ALinkThatRemainsUnderAnUnknownNameIsNoName) {
  UniqueFd fd = open("f");
  add(fd);
  fs::create_hard_link(root_ / "f", root_ / "h");
  fs::remove(root_ / "f");
  EXPECT_TRUE(table_->get(add(fd)).unlinked());
  UniqueFd other = open("h", O_RDONLY);
  EXPECT_FALSE(table_->get(add(other)).unlinked());
  EXPECT_EQ(table_->get(1).path(), root_ / "h");
  EXPECT_FALSE(table_->get(add(fd)).unlinked());  // the known name counts
}

TEST_F(FileTableTest, ANameMayEndInTheWordDeleted) {
  UniqueFd fd = open("f (deleted)");
  EXPECT_FALSE(table_->get(add(fd)).unlinked());
  EXPECT_EQ(table_->get(1).path(), root_ / "f (deleted)");
}

}  // namespace
}  // namespace godwit::files
