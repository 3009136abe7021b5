#include "files/opener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace godwit::files {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// A destination below a temporary directory, in this process's own mount
// namespace.
class OpenerTest : public testing::Test {
 protected:
  OpenerTest() {
    std::string pattern = testing::TempDir() + "/opener-XXXXXX";
    root_ = fs::canonical(::mkdtemp(pattern.data()));
    fs::permissions(root_, fs::perms(0755));
    fs::create_directory(root_ / "d");
    fs::create_directory(root_ / "tmp");
    view_.root = root_;
    view_.owner = Owner{::getuid(), ::getgid(), {}};
    view_.job = "n1-7";
    view_.boot_id = "here";
    view_.left_behind = LeftBehind(root_ / "left-behind");
    UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    auto mounts = sys::MountNamespace::of(self.get());
    if (mounts && mounts->visit()) mounts_.emplace(std::move(*mounts));
  }
  ~OpenerTest() override {
    (void)::umount2((root_ / "pool").c_str(), MNT_DETACH);
    fs::remove_all(root_);
  }
  void SetUp() override {
    if (!mounts_) GTEST_SKIP() << "needs CAP_SYS_ADMIN to visit a mount namespace";
  }

  image::File& add(uint32_t id, const std::string& path, bool written, unsigned mode = S_IFREG | 0640) {
    image::File& file = *offer_.mutable_plan()->add_files();
    file.set_id(id);
    file.set_path(path);
    file.set_mode(mode);
    file.set_written(written);
    file.set_inode(1);
    file.set_uid(::getuid());
    file.set_gid(::getgid());
    return file;
  }
  // A file 1 that both nodes have, which are on one machine. Returns its inode.
  ino_t add_shared_pool_file() {
    std::ofstream(root_ / "d/f") << "";
    struct stat status = sys::status_of(root_.string() + "/d/f").value();
    image::File& file = add(1, "/d/f", true);
    file.set_page_bytes(2 << 20);
    file.set_inode(status.st_ino);
    file.set_device(status.st_dev);
    offer_.set_boot_id("here");
    return status.st_ino;
  }
  std::unique_ptr<Opener> opener(const std::string& boot_id = "there") {
    wire::OfferAnswer answer;
    std::vector<worker::Refusal> refusals;
    for (auto& verdict : decide(offer_.plan(), boot_id, view_, refusals)) *answer.add_files() = verdict;
    EXPECT_TRUE(refusals.empty()) << refusals.front().what();
    return std::make_unique<Opener>(offer_, answer, view_, root_ / "state", *mounts_);
  }
  // As if nobody had looked.
  std::unique_ptr<Opener> opener_that_was_told(image::File::Origin origin) {
    wire::OfferAnswer answer;
    wire::FileVerdict& verdict = *answer.add_files();
    verdict.set_file(1);
    verdict.set_origin(origin);
    return std::make_unique<Opener>(offer_, answer, view_, root_ / "state", *mounts_);
  }
  static void fill(Opener& opener, uint32_t id, std::string_view text) {
    ASSERT_TRUE(opener.write(id, 0, bytes(text)));
    ASSERT_TRUE(opener.finish(id, text.size(), 5'000'000'000));
  }
  std::string content(const std::string& path) const {
    std::ifstream file(root_.string() + path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t entries(const std::string& path) const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(root_.string() + path), fs::directory_iterator()));
  }

  fs::path root_;
  DestinationView view_;
  wire::Offer offer_;
  std::optional<sys::MountNamespace> mounts_;
};

TEST_F(OpenerTest, CarriedFileGetsItsNameWhenPublishedAndKeepsItWhenCommitted) {
  add(1, "/d/a/b/out", true);
  {
    auto opener = this->opener();
    fill(*opener, 1, "hello");
    auto fd = opener->open(1, O_RDWR | O_APPEND | O_CREAT | O_TRUNC);
    ASSERT_TRUE(fd) << fd.error().message();
    EXPECT_FALSE(fs::exists(root_ / "d/a/b/out"));
    ASSERT_TRUE(opener->publish());
    ASSERT_EQ(::write(fd->get(), " world", 6), 6);
    opener->commit();
  }
  EXPECT_EQ(content("/d/a/b/out"), "hello world");
  EXPECT_EQ(fs::status(root_ / "d/a/b/out").permissions(), fs::perms(0640));
  EXPECT_EQ(entries("/d/a/b"), 1u);
}

TEST_F(OpenerTest, WithoutCommitNothingRemains) {
  add(1, "/d/a/out", true);
  add(2, "/d/new", false, S_IFDIR | 0700);
  add(3, "/d/fifo", false, S_IFIFO | 0600);
  {
    auto opener = this->opener();
    fill(*opener, 1, "hello");
    ASSERT_TRUE(opener->open(2, O_PATH));
    auto fifo = opener->open(3, O_RDWR | O_NONBLOCK);
    ASSERT_TRUE(fifo) << fifo.error().message();
    ASSERT_TRUE(opener->publish());
    EXPECT_EQ(content("/d/a/out"), "hello");
  }
  EXPECT_EQ(entries("/d"), 0u);
}

TEST_F(OpenerTest, FormerCopyComesBackOnRollback) {
  std::ofstream(root_ / "d/log") << "old";
  auto status = sys::status_of(root_.string() + "/d/log");
  ASSERT_TRUE(status);
  ASSERT_TRUE(view_.left_behind.note("/d/log", *status, "n1-7"));
  add(1, "/d/log", true);
  for (bool commit : {false, true}) {
    auto opener = this->opener();
    fill(*opener, 1, "new");
    ASSERT_TRUE(view_.left_behind.note("/d/log", *sys::status_of(root_.string() + "/d/log"), "n1-7"));
    ASSERT_TRUE(opener->publish());
    EXPECT_EQ(content("/d/log"), "new");
    if (commit) opener->commit();
    opener.reset();
    EXPECT_EQ(content("/d/log"), commit ? "new" : "old");
    EXPECT_EQ(entries("/d"), 1u);
    ASSERT_TRUE(view_.left_behind.note("/d/log", *sys::status_of(root_.string() + "/d/log"), "n1-7"));
  }
}

TEST_F(OpenerTest, ContentOfPoolFilesComesAnotherWay) {
  add_shared_pool_file();
  auto opener = this->opener("here");
  EXPECT_TRUE(opener->has_all());
  EXPECT_EQ(opener->write(1, 0, bytes("x")).error().kind, ErrorKind::corrupt);
  EXPECT_EQ(opener->finish(1, 1, 0).error().kind, ErrorKind::corrupt);
}

TEST_F(OpenerTest, PoolFileThatLosesItsNameStaysTheOneThatOthersHave) {
  ino_t inode = add_shared_pool_file();
  auto opener = this->opener("here");
  ASSERT_TRUE(opener->open(1, O_RDWR));
  fs::rename(root_ / "d/f", root_ / "d/g");
  std::ofstream(root_ / "d/f") << "another";
  image::LogicalHost state = offer_.plan();
  state.mutable_files(0)->set_unlinked(true);
  ASSERT_TRUE(opener->update(state));
  EXPECT_TRUE(opener->is_shared(1));
  auto fd = opener->open(1, O_RDWR);
  ASSERT_TRUE(fd) << fd.error().message();
  EXPECT_EQ(sys::status_of(fd->get())->st_ino, inode);
}

TEST_F(OpenerTest, PoolFileThatLosesItsNameIsNotOpenedAtItsPath) {
  std::ofstream(root_ / "d/secret") << "secret";
  add(1, "/d/secret", true).set_page_bytes(2 << 20);
  auto opener = opener_that_was_told(image::File::CARRIED);
  image::LogicalHost state = offer_.plan();
  state.mutable_files(0)->set_unlinked(true);
  auto updated = opener->update(state);
  ASSERT_FALSE(updated);
  EXPECT_EQ(updated.error().kind, ErrorKind::retry);
}

TEST_F(OpenerTest, WhatWasNotDecidedUponIsNotOpened) {
  std::ofstream(root_ / "d/secret") << "secret";
  add(1, "/d/secret", false);
  auto opener = opener_that_was_told(image::File::UNDECIDED);
  for (int flags : {O_RDONLY, O_PATH}) {
    auto fd = opener->open(1, flags);
    ASSERT_FALSE(fd);
    EXPECT_EQ(fd.error().kind, ErrorKind::corrupt);
  }
}

TEST_F(OpenerTest, FileThatBecomesAnotherIsRefused) {
  add(1, "/d/f", true);
  auto opener = this->opener();
  fill(*opener, 1, "x");
  image::File same = offer_.plan().files(0);
  same.set_unlinked(true);
  auto changed_by = [&](auto change) {
    image::LogicalHost state;
    image::File& file = *state.add_files() = same;
    change(file);
    auto updated = opener->update(state);
    return updated ? ErrorKind::gone : updated.error().kind;
  };
  EXPECT_EQ(changed_by([](image::File& file) { file.set_page_bytes(2 << 20); }), ErrorKind::corrupt);
  EXPECT_EQ(changed_by([](image::File& file) { file.set_device(7); }), ErrorKind::corrupt);
  EXPECT_EQ(changed_by([](image::File& file) { file.set_inode(7); }), ErrorKind::corrupt);
  EXPECT_EQ(changed_by([](image::File& file) { file.set_mode(S_IFIFO | 0640); }), ErrorKind::corrupt);
  EXPECT_EQ(changed_by([](image::File& file) { file.set_mode(S_IFREG | 0600); }), ErrorKind::gone);
}

TEST_F(OpenerTest, CarriedPoolFileHasItsRoomAndIsNotNoted) {
  fs::create_directory(root_ / "pool");
  if (::mount("none", (root_ / "pool").c_str(), "hugetlbfs", 0, "pagesize=2M,size=2M") != 0) {
    GTEST_SKIP() << "hugetlbfs cannot be mounted";
  }
  image::File& file = add(1, "/pool/f", true);
  file.set_page_bytes(2 << 20);
  file.set_size(2 << 20);
  auto opener = this->opener();
  ASSERT_TRUE(opener->open(1, O_RDWR));
  image::LogicalHost state = offer_.plan();
  state.mutable_files(0)->set_size(4 << 20);  // more than its mount has
  ASSERT_TRUE(opener->update(state));
  ASSERT_TRUE(opener->publish());
  EXPECT_TRUE(fs::exists(root_ / "pool/f"));
  EXPECT_FALSE(fs::exists(root_ / "left-behind"));
}

TEST_F(OpenerTest, RenamedFileOfTheJobAloneIsNotTheNodesOwn) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  std::ofstream(root_ / "d/lib") << "other";
  std::ofstream(root_ / "d/secret") << "secret";
  add(1, "/d/lib", false).set_size(3);
  auto opener = this->opener();
  fill(*opener, 1, "lib");
  EXPECT_TRUE(opener->open(1, O_RDONLY));
  EXPECT_EQ(content("/d/lib"), "lib");
  image::LogicalHost state = offer_.plan();
  state.mutable_files(0)->set_path("/d/secret");
  ASSERT_TRUE(opener->update(state));
  auto fd = opener->open(1, O_RDONLY);
  EXPECT_EQ(::umount2((root_ / "d/lib").c_str(), MNT_DETACH), 0);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().kind, ErrorKind::conflict);
}

TEST_F(OpenerTest, FileThatAppearsMeanwhileIsNotTouched) {
  add(1, "/d/out", true);
  auto opener = this->opener();
  fill(*opener, 1, "ours");
  std::ofstream(root_ / "d/out") << "theirs";
  auto published = opener->publish();
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().kind, ErrorKind::conflict);
  opener.reset();
  EXPECT_EQ(content("/d/out"), "theirs");
}

TEST_F(OpenerTest, EqualFileThatChangesMeanwhileIsNotUsed) {
  std::ofstream(root_ / "d/lib") << "lib";
  image::File& file = add(1, "/d/lib", false);
  auto fd = sys::open_path(root_ / "d/lib", O_RDONLY);
  file.set_size(3);
  file.set_sha256(*HashCache().sha256(fd->get()));
  auto opener = this->opener();
  ASSERT_TRUE(opener->open(1, O_RDONLY));
  auto written = opener->open(1, O_RDWR);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::corrupt);
  std::ofstream(root_ / "d/lib") << "bad";
  auto changed = opener->open(1, O_RDONLY);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().kind, ErrorKind::conflict);
}

TEST_F(OpenerTest, LinkPutInTheWayIsNotFollowed) {
  add(1, "/d/sub/out", true);
  auto opener = this->opener();
  fs::create_directory(root_ / "elsewhere");
  fs::create_directory_symlink(root_ / "elsewhere", root_ / "d/sub");
  EXPECT_FALSE(opener->write(1, 0, bytes("x")));
  EXPECT_EQ(entries("/elsewhere"), 0u);
}

TEST_F(OpenerTest, NamelessFilesStayNameless) {
  add(1, "/d/gone", true).set_unlinked(true);
  add(2, "/d/later", true);
  auto opener = this->opener();
  fill(*opener, 1, "one");
  fill(*opener, 2, "two");
  image::LogicalHost state = offer_.plan();
  state.mutable_files(1)->set_unlinked(true);
  ASSERT_TRUE(opener->update(state));
  EXPECT_FALSE(opener->source_asks());
  ASSERT_TRUE(opener->publish());
  for (uint32_t id : {1u, 2u}) {
    auto fd = opener->open(id, O_RDONLY);
    ASSERT_TRUE(fd);
    EXPECT_EQ(sys::status_of(fd->get())->st_nlink, 0u);
    EXPECT_EQ(*sys::file_size(fd->get()), 3u);
  }
  opener->commit();
  opener.reset();
  EXPECT_EQ(entries("/d"), 0u);
}

TEST_F(OpenerTest, RenamedFileArrivesUnderItsNewName) {
  add(1, "/d/part", true);
  auto opener = this->opener();
  fill(*opener, 1, "done");
  image::LogicalHost state = offer_.plan();
  state.mutable_files(0)->set_path("/d/final/whole");
  ASSERT_TRUE(opener->update(state));
  ASSERT_TRUE(opener->publish());
  opener->commit();
  EXPECT_EQ(content("/d/final/whole"), "done");
  EXPECT_FALSE(fs::exists(root_ / "d/part"));
}

TEST_F(OpenerTest, LateFileIsAskedForAndItsContentMustCome) {
  auto opener = this->opener();
  add(4, "/d/late", true);
  ASSERT_TRUE(opener->update(offer_.plan()));
  EXPECT_TRUE(opener->source_asks());
  EXPECT_EQ(opener->wanted(), std::set<uint32_t>{4});
  ASSERT_TRUE(opener->open(4, O_RDWR));
  EXPECT_FALSE(opener->publish());
  fill(*opener, 4, "x");
  EXPECT_TRUE(opener->publish());
}

TEST_F(OpenerTest, CarriedProgramCanBeExecuted) {
  std::ifstream file("/bin/true", std::ios::binary);
  std::string program{std::istreambuf_iterator<char>(file), {}};
  add(1, "/d/program", false, S_IFREG | 0755);
  auto opener = this->opener();
  auto early = opener->open(1, O_RDONLY);  // as for a mapping in the skeleton
  ASSERT_TRUE(early);
  fill(*opener, 1, program);
  auto fd = opener->open(1, O_RDONLY);
  ASSERT_TRUE(fd);
  pid_t child = ::fork();
  if (child == 0) {
    char name[] = "true";
    char* arguments[] = {name, nullptr};
    ::fexecve(fd->get(), arguments, arguments + 1);
    ::_exit(100 + (errno == ETXTBSY ? 1 : 0));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(OpenerTest, NothingIsMadeWithMoreRightsThanTheOwners) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to act as another user";
  add(1, "/d/out", true);
  auto made_by_root = this->opener();
  view_.owner = Owner{65534, 65534, {}};
  auto opener = opener_that_was_told(image::File::CARRIED);
  auto written = opener->write(1, 0, bytes("x"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::denied);
  EXPECT_EQ(entries("/d"), 0u);
}

}  // namespace
}  // namespace godwit::files
