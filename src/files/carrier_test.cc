#include "files/carrier.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "files/block_stream.h"
#include "files/tree_transfer.h"
#include "sys/file.h"

namespace godwit::files {
namespace {

namespace fs = std::filesystem;
using transport::FrameType;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string read_all(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What was sent, applied to a file as the destination does.
class CarrierTest : public testing::Test {
 protected:
  CarrierTest() {
    std::string pattern = testing::TempDir() + "/carrier-XXXXXX";
    root_ = fs::canonical(::mkdtemp(pattern.data()));
    fs::create_directory(root_ / "from");
    fs::create_directory(root_ / "to");
    source_ = *sys::open_path(root_ / "a", O_RDWR | O_CREAT, 0600);
    target_ = *sys::open_path(root_ / "b", O_RDWR | O_CREAT, 0600);
  }
  ~CarrierTest() override { fs::remove_all(root_); }

  SendFrame to_file() {
    return [this](FrameType type, const google::protobuf::MessageLite& message) -> Result<void> {
      if (type == FrameType::carried_end) {
        return sys::set_size(target_.get(), dynamic_cast<const wire::CarriedEnd&>(message).size());
      }
      const auto& block = dynamic_cast<const wire::CarriedBlock&>(message);
      offsets_.push_back(block.offset());
      return sys::write_at(target_.get(), block.offset(), bytes(block.data()));
    };
  }
  SendFrame to_tree(TreeReceiver& tree) {
    return [this, &tree](FrameType type, const google::protobuf::MessageLite& message) -> Result<void> {
      ++frames_;
      if (type == FrameType::scratch_entry) return tree.take(dynamic_cast<const wire::ScratchEntry&>(message));
      if (type == FrameType::carried_end) return tree.finish(dynamic_cast<const wire::CarriedEnd&>(message));
      return tree.write(dynamic_cast<const wire::CarriedBlock&>(message));
    };
  }
  TreeReceiver receiver() {
    return TreeReceiver(*sys::open_path(root_ / "to", O_RDONLY | O_DIRECTORY), Owner{::getuid(), ::getgid(), {}});
  }
  static bool nowhere_else(uint64_t, uint64_t) { return false; }
  static uint32_t add_pool_file(FileTable& table, const std::string& path, bool written) {
    std::ofstream(path) << "";
    auto id = table.add(sys::open_path(path, O_PATH)->get(), path, {.written = written});
    EXPECT_TRUE(id);
    table.get(*id).set_page_bytes(2 << 20);
    return *id;
  }

  fs::path root_;
  UniqueFd source_, target_;
  std::vector<uint64_t> offsets_;
  int frames_ = 0;
};

TEST_F(CarrierTest, SendsOnlyBlocksThatChanged) {
  std::string text(3 * kBlockBytes + 100, 'x');
  ASSERT_TRUE(sys::write_at(source_.get(), 0, bytes(text)));
  SentFile sent;
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  EXPECT_THAT(offsets_, testing::ElementsAre(0, kBlockBytes, 2 * kBlockBytes, 3 * kBlockBytes));
  offsets_.clear();
  ASSERT_TRUE(sys::write_at(source_.get(), kBlockBytes + 5, bytes("changed")));
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  EXPECT_THAT(offsets_, testing::ElementsAre(kBlockBytes));
  EXPECT_EQ(read_all(root_ / "a"), read_all(root_ / "b"));
}

TEST_F(CarrierTest, FollowsAFileThatShrinksAndGrows) {
  ASSERT_TRUE(sys::write_at(source_.get(), 0, bytes(std::string(2 * kBlockBytes, 'x'))));
  SentFile sent;
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  ASSERT_TRUE(sys::set_size(source_.get(), 10));
  ASSERT_TRUE(sys::set_size(source_.get(),
                            3 * kBlockBytes));  // zeros where there was text
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  EXPECT_EQ(read_all(root_ / "a"), read_all(root_ / "b"));
  ASSERT_TRUE(sys::set_size(source_.get(), 5));
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  EXPECT_EQ(read_all(root_ / "b"), "xxxxx");
}

TEST_F(CarrierTest, HolesAreNotSent) {
  ASSERT_TRUE(sys::set_size(source_.get(), 40 * kBlockBytes));
  ASSERT_TRUE(sys::write_at(source_.get(), 20 * kBlockBytes + 7, bytes("data")));
  SentFile sent;
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  EXPECT_LE(offsets_.size(), 2u);
  EXPECT_EQ(read_all(root_ / "a"), read_all(root_ / "b"));
  offsets_.clear();
  ASSERT_TRUE(sys::write_at(source_.get(), 39 * kBlockBytes, bytes("more")));
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  EXPECT_THAT(offsets_, testing::ElementsAre(39 * kBlockBytes));
  EXPECT_EQ(read_all(root_ / "a"), read_all(root_ / "b"));
}

TEST_F(CarrierTest, UnchangedIsOnlyWhatHadTimeToSettle) {
  ASSERT_TRUE(sys::write_at(source_.get(), 0, bytes("x")));
  SentFile sent;
  EXPECT_FALSE(is_unchanged(sent, *sys::status_of(source_.get())));
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  EXPECT_FALSE(is_unchanged(sent, *sys::status_of(source_.get())));  // written just now
  ::usleep(60'000);
  ASSERT_TRUE(send_blocks(to_file(), 1, source_.get(), sent));
  EXPECT_TRUE(is_unchanged(sent, *sys::status_of(source_.get())));
  ASSERT_TRUE(sys::write_at(source_.get(), 0, bytes("y")));
  EXPECT_FALSE(is_unchanged(sent, *sys::status_of(source_.get())));
}

TEST_F(CarrierTest, TreeArrivesWholeAndFollowsChanges) {
  fs::path from = root_ / "from";
  fs::create_directories(from / "a/b");
  std::ofstream(from / "a/b/file") << "one";
  std::ofstream(from / "closed") << "two";
  fs::permissions(from / "closed", fs::perms(0444));
  fs::create_symlink("a/b/file", from / "link");
  TreeSender sender(from, false, kFirstTreeId);
  TreeReceiver tree = receiver();
  ASSERT_TRUE(sender.send(to_tree(tree), nowhere_else));
  EXPECT_EQ(read_all(root_ / "to/a/b/file"), "one");
  EXPECT_EQ(read_all(root_ / "to/link"), "one");
  EXPECT_EQ(fs::status(root_ / "to/closed").permissions(), fs::perms(0444));
  frames_ = 0;
  ASSERT_TRUE(sender.send(to_tree(tree), nowhere_else));
  EXPECT_EQ(frames_, 0);
  std::ofstream(from / "a/b/file") << "three";
  fs::remove(from / "closed");
  fs::remove(from / "link");
  fs::create_directories(from / "link/dir");
  std::ofstream(from / "link/dir/x") << "four";
  ASSERT_TRUE(sender.send(to_tree(tree), nowhere_else));
  EXPECT_EQ(read_all(root_ / "to/a/b/file"), "three");
  EXPECT_FALSE(fs::exists(root_ / "to/closed"));
  EXPECT_EQ(read_all(root_ / "to/link/dir/x"), "four");
  fs::remove_all(from / "a");
  ASSERT_TRUE(sender.send(to_tree(tree), nowhere_else));
  EXPECT_FALSE(fs::exists(root_ / "to/a"));
}

TEST_F(CarrierTest, WhatWentWhileTheTreeWasWalkedTakesNothingElseAlong) {
  constexpr int kDirectories = 200;
  fs::path from = root_ / "from";
  auto name = [](int i) { return std::to_string(i); };
  for (int i = 0; i < kDirectories; ++i) {
    fs::create_directories(from / name(i));
    std::ofstream(from / name(i) / "in") << i;
  }
  TreeSender sender(from, false, kFirstTreeId);
  TreeReceiver tree = receiver();
  ASSERT_TRUE(sender.send(to_tree(tree), nowhere_else));
  std::ofstream(from / "more") << "x";  // so that it is walked again
  int looked_at = 0;
  auto removing = [&](uint64_t, uint64_t) {
    // Among those that go are some that were listed with the others and not looked into yet.
    bool now = ++looked_at == kDirectories / 4;
    for (int i = 0; now && i < kDirectories; i += 2) fs::remove_all(from / name(i));
    return false;
  };
  std::set<std::string> removed;
  auto noting = [&](transport::FrameType type, const google::protobuf::MessageLite& message) -> Result<void> {
    auto* entry = dynamic_cast<const wire::ScratchEntry*>(&message);
    if (entry != nullptr && entry->removed()) removed.insert(entry->name());
    return to_tree(tree)(type, message);
  };
  ASSERT_TRUE(sender.send(noting, removing));
  ASSERT_TRUE(sender.send(noting, nowhere_else));
  for (int i = 0; i < kDirectories; ++i) {
    EXPECT_EQ(removed.contains(name(i)), i % 2 == 0) << i;
    EXPECT_EQ(fs::exists(root_ / "to" / name(i) / "in"), i % 2 == 1) << i;
  }
}

TEST_F(CarrierTest, FilesThatTravelOtherwiseAreLeftAlone) {
  std::ofstream(root_ / "from/open") << "x";
  struct stat status = *sys::status_of((root_ / "from/open").string());
  TreeSender sender(root_ / "from", false, kFirstTreeId);
  TreeReceiver tree = receiver();
  auto elsewhere = [&](uint64_t device, uint64_t inode) { return device == status.st_dev && inode == status.st_ino; };
  ASSERT_TRUE(sender.send(to_tree(tree), elsewhere));
  EXPECT_EQ(frames_, 0);
}

TEST_F(CarrierTest, PoolFilesThatTheJobWroteLoseTheirNames) {
  auto table = FileTable::of_job(::getpid());
  ASSERT_TRUE(table);
  wire::OfferAnswer answer;
  auto add = [&](const char* name, bool written) {
    wire::FileVerdict& verdict = *answer.add_files();
    verdict.set_file(add_pool_file(*table, root_ / name, written));
    verdict.set_origin(image::File::CARRIED);
  };
  for (const char* name : {"written", "renamed", "replaced", "others"}) add(name, true);
  add("read", false);
  image::LogicalHost plan, state;
  ASSERT_TRUE(table->fill(plan));
  Carrier carrier(*table, plan, answer, "");
  fs::rename(root_ / "renamed", root_ / "renamed-now");
  fs::rename(root_ / "replaced", root_ / "elsewhere");
  (void)add_pool_file(*table, root_ / "late", true);
  table->look_anew();
  bool may_give = ::chown((root_ / "others").c_str(), 65534, 65534) == 0;
  ASSERT_TRUE(table->fill(state));
  auto ignore = [](FrameType, const google::protobuf::MessageLite&) { return Result<void>(); };
  ASSERT_TRUE(carrier.send_changes(ignore, [] { return wire::CarriedRequest(); }, state));
  std::ofstream(root_ / "elsewhere.new") << "another";
  fs::rename(root_ / "elsewhere.new", root_ / "elsewhere");
  worker::JobPlace place;
  place.set_uid(::getuid());
  place.set_gid(::getgid());
  place.set_job("n1-7");
  place.set_state_directory(root_ / "state/jobs/n1-7");
  carrier.leave(place);
  for (const char* name : {"written", "renamed-now"}) EXPECT_FALSE(fs::exists(root_ / name)) << name;
  for (const char* name : {"read", "late", "elsewhere"}) EXPECT_TRUE(fs::exists(root_ / name)) << name;
  EXPECT_EQ(fs::exists(root_ / "others"), may_give);
  EXPECT_FALSE(fs::exists(root_ / "state/left-behind"));
}

TEST_F(CarrierTest, TreeCannotBeLeft) {
  fs::create_directory(root_ / "outside");
  TreeReceiver tree = receiver();
  wire::ScratchEntry entry;
  entry.set_id(kFirstTreeId);
  entry.set_mode(S_IFREG | 0600);
  for (const char* name : {"../outside/x", "/etc/x", "", ".", "..", "a/../../outside/x", "a/"}) {
    entry.set_name(name);
    EXPECT_FALSE(tree.take(entry)) << name;
  }
  fs::create_directory_symlink(root_ / "outside", root_ / "to/way");
  fs::create_symlink(root_ / "outside/x", root_ / "to/direct");
  entry.set_name("way/x");
  EXPECT_FALSE(tree.take(entry));
  entry.set_name("direct");
  EXPECT_TRUE(tree.take(entry));  // in the link's place
  EXPECT_TRUE(fs::is_empty(root_ / "outside"));
  EXPECT_FALSE(fs::is_symlink(root_ / "to/direct"));
}

}  // namespace
}  // namespace godwit::files
