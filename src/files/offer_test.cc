#include "files/offer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sys/hash.h"

namespace godwit::files {
namespace {

namespace fs = std::filesystem;

std::string sha256_of(std::string_view text) { return sys::sha256(std::as_bytes(std::span(text))); }

class OfferTest : public testing::Test {
 protected:
  OfferTest() {
    std::string pattern = testing::TempDir() + "/offer-XXXXXX";
    root_ = fs::canonical(::mkdtemp(pattern.data()));
    view_.root = root_;
    view_.owner = Owner{::getuid(), ::getgid(), {}};
    view_.job = "n1-7";
    view_.boot_id = "here";
    view_.left_behind = LeftBehind(root_ / "left-behind");
    fs::create_directory(root_ / "d");
  }
  ~OfferTest() override {
    (void)::umount2((root_ / "pool").c_str(), MNT_DETACH);
    fs::remove_all(root_);
  }

  void put(const std::string& path, std::string_view text) { std::ofstream(root_.string() + path) << text; }
  static image::File regular(const std::string& path, std::string_view content, bool written) {
    image::File file;
    file.set_id(1);
    file.set_path(path);
    file.set_mode(S_IFREG | 0644);
    file.set_size(content.size());
    file.set_written(written);
    file.set_sha256(sha256_of(content));
    file.set_inode(1);
    file.set_device(1);
    return file;
  }
  wire::FileVerdict decide(const image::File& file, const std::string& boot_id = "there") {
    refusals_.clear();
    PoolUse use;
    return decide_one(file, boot_id, view_, refusals_, use);
  }
  bool mount_pool(const char* options) {
    fs::create_directory(root_ / "pool");
    return ::mount("none", (root_ / "pool").c_str(), "hugetlbfs", 0, options) == 0;
  }
  static image::File of_pool(const std::string& path) {
    image::File file = regular(path, "", true);
    file.set_page_bytes(2 << 20);
    file.set_size(2 << 20);
    return file;
  }
  std::string refused() const { return refusals_.empty() ? "" : refusals_.front().code(); }

  fs::path root_;
  DestinationView view_;
  std::vector<worker::Refusal> refusals_;
};

TEST_F(OfferTest, DestinationsOwnCopyServesWhenEqual) {
  put("/d/lib", "same");
  wire::FileVerdict verdict = decide(regular("/d/lib", "same", false));
  EXPECT_EQ(verdict.origin(), image::File::LOCAL_EQUIVALENT);
  auto status = sys::status_of(root_.string() + "/d/lib");
  ASSERT_TRUE(status);
  EXPECT_TRUE(is_still(verdict.here(), *status));
}

TEST_F(OfferTest, DifferentFileThatIsOnlyReadIsGivenToTheJobAlone) {
  put("/d/lib", "diff");
  wire::FileVerdict verdict = decide(regular("/d/lib", "same", false));
  EXPECT_EQ(verdict.origin(), image::File::CARRIED);
  EXPECT_TRUE(verdict.hidden());
  EXPECT_EQ(refused(), "");
}

TEST_F(OfferTest, WrittenFileNeverReplacesAnothers) {
  put("/d/log", "theirs");
  decide(regular("/d/log", "ours", true));
  EXPECT_EQ(refused(), "files.conflict");
}

TEST_F(OfferTest, WrittenFileReplacesAnEqualOne) {
  put("/d/log", "same");
  wire::FileVerdict verdict = decide(regular("/d/log", "same", true));
  EXPECT_EQ(refused(), "");
  EXPECT_EQ(verdict.origin(), image::File::CARRIED);
  EXPECT_FALSE(verdict.hidden());
}

TEST_F(OfferTest, WrittenFileReplacesTheFormerCopyUnlessItChanged) {
  put("/d/log", "old");
  auto status = sys::status_of(root_.string() + "/d/log");
  ASSERT_TRUE(status);
  ASSERT_TRUE(view_.left_behind.note("/d/log", *status, "n1-7"));
  EXPECT_EQ(decide(regular("/d/log", "newer", true)).origin(), image::File::CARRIED);
  EXPECT_EQ(refused(), "");
  view_.job = "n1-8";  // another job's
  decide(regular("/d/log", "newer", true));
  EXPECT_EQ(refused(), "files.conflict");
  view_.job = "n1-7";
  put("/d/log", "somebody's");
  decide(regular("/d/log", "newer", true));
  EXPECT_EQ(refused(), "files.conflict");
}

TEST_F(OfferTest, MissingFileIsCarriedWithItsDirectories) {
  EXPECT_EQ(decide(regular("/d/a/b/c", "x", true)).origin(), image::File::CARRIED);
  EXPECT_EQ(refused(), "");
}

TEST_F(OfferTest, NothingIsMadeBehindASymbolicLink) {
  fs::create_directory(root_ / "elsewhere");
  fs::create_directory_symlink(root_ / "elsewhere", root_ / "d/link");
  decide(regular("/d/link/file", "x", true));
  EXPECT_EQ(refused(), "files.symbolic_link");
}

TEST_F(OfferTest, OwnerWithoutRightsIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to act as another user";
  fs::permissions(root_, fs::perms(0755));
  view_.owner = Owner{65534, 65534, {}};
  decide(regular("/d/file", "x", true));
  EXPECT_EQ(refused(), "files.not_permitted");
  fs::permissions(root_ / "d", fs::perms(0777));
  EXPECT_EQ(decide(regular("/d/file", "x", true)).origin(), image::File::CARRIED);
  EXPECT_EQ(refused(), "");
}

TEST_F(OfferTest, SharedIsProvedByTheDestinationAlone) {
  put("/d/f", "same");
  auto status = sys::status_of(root_.string() + "/d/f");
  ASSERT_TRUE(status);
  image::File file = regular("/d/f", "same", true);
  file.set_inode(status->st_ino);
  file.set_device(status->st_dev);
  EXPECT_EQ(decide(file, "here").origin(), image::File::SHARED);
  file.set_device(status->st_dev + 1);  // same machine, another file system
  file.set_size(99);
  decide(file, "here");
  EXPECT_EQ(refused(), "files.conflict");
  file.set_filesystem("nfs4");  // says the source
  file.set_mount_source("server:/export");
  file.set_mount_root("/");
  file.set_mount_point("/d");
  decide(file);
  EXPECT_EQ(refused(), "files.conflict");
  proc::Mount mount;
  mount.type = "nfs4";
  mount.source = "server:/export";
  mount.root = "/";
  mount.point = "/d";
  view_.mounts = {mount};
  EXPECT_EQ(decide(file).origin(), image::File::SHARED);
}

TEST_F(OfferTest, SharedFileThatTheOwnerMayNotUseIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to act as another user";
  put("/d/secret", "x");
  fs::permissions(root_ / "d/secret", fs::perms(0600));
  auto status = sys::status_of(root_.string() + "/d/secret");
  ASSERT_TRUE(status);
  image::File file = regular("/d/secret", "x", false);
  file.set_inode(status->st_ino);
  file.set_device(status->st_dev);
  view_.owner = Owner{65534, 65534, {}};
  decide(file, "here");
  EXPECT_EQ(refused(), "files.not_permitted");
}

TEST_F(OfferTest, FileOfThePoolNeedsAMountLikeItsOwn) {
  image::File file = regular("/d/deep/er/f", "", true);
  file.set_page_bytes(2 << 20);
  decide(file);
  EXPECT_EQ(refused(), "memory.hugetlb_file");
  file.set_unlinked(true);
  decide(file);
  EXPECT_EQ(refused(), "memory.hugetlb_file");
}

TEST_F(OfferTest, FilesOfThePoolNeedRoomTogether) {
  if (!mount_pool("pagesize=2M,size=6M")) GTEST_SKIP() << "hugetlbfs cannot be mounted";
  image::LogicalHost plan;
  for (const char* path : {"/pool/a", "/pool/deep/b", "/pool/c"}) *plan.add_files() = of_pool(path);
  plan.mutable_files(2)->set_unlinked(true);
  EXPECT_EQ(files::decide(plan, "there", view_, refusals_).size(), 3u);
  EXPECT_EQ(refused(), "");
  *plan.add_files() = of_pool("/pool/d");
  files::decide(plan, "there", view_, refusals_);
  EXPECT_EQ(refused(), "memory.hugetlb_file");
  decide(of_pool("/pool/d"));
  EXPECT_EQ(refused(), "");
}

TEST_F(OfferTest, NoFileOfThePoolIsTakenForAFormerCopy) {
  if (!mount_pool("pagesize=2M")) GTEST_SKIP() << "hugetlbfs cannot be mounted";
  put("/pool/f", "");
  ASSERT_TRUE(view_.left_behind.note("/pool/f", *sys::status_of(root_.string() + "/pool/f"), view_.job));
  decide(of_pool("/pool/f"));
  EXPECT_EQ(refused(), "files.conflict");
}

TEST_F(OfferTest, FileOfThePoolIsSharedAsOthersAre) {
  put("/d/f", "");
  auto status = sys::status_of(root_.string() + "/d/f");
  ASSERT_TRUE(status);
  image::File file = regular("/d/f", "", true);
  file.set_page_bytes(2 << 20);
  file.set_inode(status->st_ino);
  file.set_device(status->st_dev);
  EXPECT_EQ(decide(file, "here").origin(), image::File::SHARED);
  decide(file, "there");
  EXPECT_EQ(refused(), "memory.hugetlb_file");  // this directory is none of hugetlbfs
  image::LogicalHost state;
  *state.add_files() = file;
  EXPECT_TRUE(open_questions({}, {}, state).empty());
}

TEST_F(OfferTest, PathsThatDoNotStandForThemselvesAreRefused) {
  for (const char* path : {"relative", "/d/../etc", "/d//x", "", "/d/."}) {
    decide(regular(path, "x", true));
    EXPECT_EQ(refused(), "files.path") << path;
  }
}

TEST_F(OfferTest, OtherKinds) {
  image::File directory = regular("/d", "", false);
  directory.set_mode(S_IFDIR | 0755);
  EXPECT_EQ(decide(directory).origin(), image::File::LOCAL_EQUIVALENT);
  directory.set_path("/d/new");
  EXPECT_EQ(decide(directory).origin(), image::File::CARRIED);
  put("/d/file", "x");
  directory.set_path("/d/file");
  decide(directory);
  EXPECT_EQ(refused(), "files.type");
  image::File process = regular("/proc/7/stat", "", false);
  process.set_filesystem("proc");
  EXPECT_EQ(decide(process).origin(), image::File::JOB_PRIVATE);
  image::File nameless = regular("/d/file", "y", true);
  nameless.set_unlinked(true);
  EXPECT_EQ(decide(nameless).origin(), image::File::CARRIED);
  EXPECT_EQ(refused(), "");
  image::File device = regular("/d/none", "", false);
  device.set_mode(S_IFCHR | 0666);
  device.set_special_device(1234);
  decide(device);
  EXPECT_EQ(refused(), "files.device");
}

TEST_F(OfferTest, BothSidesAskAboutTheSameFiles) {
  image::File planned = regular("/d/lib", "x", false);
  std::map<uint32_t, image::File> plan{{1, planned}};
  wire::FileVerdict verdict;
  verdict.set_file(1);
  verdict.set_origin(image::File::LOCAL_EQUIVALENT);
  std::map<uint32_t, wire::FileVerdict> verdicts{{1, verdict}};
  image::LogicalHost state;
  *state.add_files() = planned;
  EXPECT_THAT(open_questions(plan, verdicts, state), testing::IsEmpty());
  state.mutable_files(0)->set_written(true);
  EXPECT_THAT(open_questions(plan, verdicts, state), testing::ElementsAre(1));
  image::File fresh = planned;
  fresh.set_id(2);
  *state.add_files() = fresh;
  EXPECT_THAT(open_questions(plan, verdicts, state), testing::ElementsAre(1, 2));
  state.mutable_files(1)->set_unlinked(true);
  EXPECT_THAT(open_questions(plan, verdicts, state), testing::ElementsAre(1));
}

TEST_F(OfferTest, HashesAreRememberedOnDisk) {
  put("/d/f", "content");
  std::string path = root_.string() + "/d/f";
  timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), old, 0), 0);
  ::usleep(60'000);  // what changed just now is not remembered
  auto fd = sys::open_path(path, O_RDONLY);
  ASSERT_TRUE(fd);
  std::string store = root_ / "hash-cache";
  HashCache first(store);
  EXPECT_EQ(*first.sha256(fd->get()), sha256_of("content"));
  ASSERT_GT(fs::file_size(store), 0u);
  auto before = fs::file_size(store);
  HashCache second(store);
  EXPECT_EQ(*second.sha256(fd->get()), sha256_of("content"));
  EXPECT_EQ(fs::file_size(store), before);
  std::ofstream(store, std::ios::app) << "torn";
  HashCache third(store);
  EXPECT_EQ(*third.sha256(fd->get()), sha256_of("content"));
}

}  // namespace
}  // namespace godwit::files
