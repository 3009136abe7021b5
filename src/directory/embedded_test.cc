#include "directory/embedded.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace godwit::directory {
namespace {

class EmbeddedDirectory : public ::testing::Test {
 protected:
  void SetUp() override { directory_ = *Embedded::open(":memory:"); }
  std::unique_ptr<Embedded> directory_;
};

TEST_F(EmbeddedDirectory, GetsWhatWasPut) {
  EXPECT_FALSE((*directory_->get("job/a")).has_value());
  auto version = directory_->put("job/a", "one", Expect::exactly(0), {});
  ASSERT_TRUE(version) << version.error().message();
  auto entry = *directory_->get("job/a");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->value, "one");
  EXPECT_EQ(entry->version, *version);
}

TEST_F(EmbeddedDirectory, RefusesWhatIsNotAsExpected) {
  auto first = *directory_->put("job/a", "one", Expect::exactly(0), {});
  auto again = directory_->put("job/a", "two", Expect::exactly(0), {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::conflict);
  ASSERT_TRUE(directory_->put("job/a", "two", Expect::exactly(first), {}));
  EXPECT_FALSE(directory_->put("job/a", "three", Expect::exactly(first), {}));
  EXPECT_EQ((*directory_->get("job/a"))->value, "two");
  EXPECT_FALSE(directory_->remove("job/a", Expect::exactly(first)));
  EXPECT_TRUE(directory_->remove("job/a", Expect::anything()));
  EXPECT_FALSE((*directory_->get("job/a")).has_value());
}

TEST_F(EmbeddedDirectory, ListsByPrefix) {
  for (const char* key : {"job/b", "job/a", "node/a", "jobs"}) {
    ASSERT_TRUE(directory_->put(key, key, Expect::anything(), {}));
  }
  auto entries = *directory_->list("job/");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].key, "job/a");
  EXPECT_EQ(entries[1].key, "job/b");
}

TEST_F(EmbeddedDirectory, AnEntryGoesWhenItsLeaseRunsOut) {
  ASSERT_TRUE(directory_->put("node/a", "up", Expect::anything(), std::chrono::milliseconds(1)));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE((*directory_->get("node/a")).has_value());
  EXPECT_TRUE((*directory_->list("node/")).empty());
  EXPECT_TRUE(directory_->put("node/a", "again", Expect::exactly(0), {}));
}

TEST_F(EmbeddedDirectory, AWatchIsToldOfChangesUnderItsPrefix) {
  using std::chrono::milliseconds;
  uint64_t seen = *directory_->put("job/a", "one", Expect::anything(), {});
  std::thread writer([&] {
    EXPECT_TRUE(directory_->put("node/a", "other", Expect::anything(), {}));
    EXPECT_TRUE(directory_->put("job/b", "two", Expect::anything(), {}));
  });
  auto start = std::chrono::steady_clock::now();
  uint64_t later = *directory_->watch("job/", seen, milliseconds(10'000));
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(5'000));
  EXPECT_GT(later, seen);
  writer.join();
  // What was written before the call is not missed either.
  EXPECT_TRUE(directory_->remove("job/b", Expect::anything()));
  start = std::chrono::steady_clock::now();
  uint64_t last = *directory_->watch("job/", later, milliseconds(10'000));
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(5'000));
  EXPECT_EQ(*directory_->watch("job/", last, milliseconds(1)), last);
}

// Who begins to watch looks afterwards: what is written between the two is not waited for in vain.
TEST_F(EmbeddedDirectory, WhoHasSeenNothingIsAnsweredAtOnce) {
  using std::chrono::milliseconds;
  ASSERT_TRUE(directory_->put("node/a", "one", Expect::anything(), {}));
  auto start = std::chrono::steady_clock::now();
  uint64_t seen = *directory_->watch("node/", 0, milliseconds(10'000));
  EXPECT_EQ(directory_->list("node/")->size(), 1u);
  ASSERT_TRUE(directory_->put("node/b", "two", Expect::anything(), {}));
  EXPECT_GT(*directory_->watch("node/", seen, milliseconds(10'000)), seen);
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(5'000));
}

TEST_F(EmbeddedDirectory, AWatchEndsWhenALeaseDoes) {
  ASSERT_TRUE(directory_->put("up/a", "x", Expect::anything(), std::chrono::milliseconds(20)));
  auto start = std::chrono::steady_clock::now();
  uint64_t seen = *directory_->watch("up/", 0, {});
  ASSERT_TRUE(directory_->watch("up/", seen, std::chrono::milliseconds(10'000)));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(5'000));
  EXPECT_FALSE((*directory_->get("up/a")).has_value());
}

TEST_F(EmbeddedDirectory, ARefusedWriteLeavesNoTransactionOpen) {
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(directory_->put("job/a", "x", Expect::exactly(99), {}));
  EXPECT_TRUE(directory_->put("job/a", "x", Expect::exactly(0), {}));
}

TEST(EmbeddedDirectoryFile, VersionsGoOnAfterARestart) {
  std::string path = ::testing::TempDir() + "godwit-directory-" + std::to_string(::getpid());
  uint64_t before = 0;
  {
    auto directory = *Embedded::open(path);
    for (int i = 0; i < 300; ++i) {  // more than are taken from the counter at once
      uint64_t version = *directory->put("job/a", std::to_string(i), Expect::anything(), {});
      EXPECT_GT(version, before);
      before = version;
    }
    ASSERT_TRUE(directory->remove("job/a", Expect::exactly(before)));
  }
  {
    auto directory = *Embedded::open(path);
    EXPECT_GT(*directory->put("job/a", "again", Expect::exactly(0), {}), before);
    EXPECT_FALSE(directory->put("job/a", "late", Expect::exactly(before), {}));
    EXPECT_EQ((*directory->get("job/a"))->value, "again");
  }
  for (const char* end : {"", "-wal", "-shm"}) ::unlink((path + end).c_str());
}

TEST_F(EmbeddedDirectory, OfManySwitchoversExactlyOneWins) {
  auto start = *directory_->put("job/a", "node1 1", Expect::exactly(0), {});
  std::atomic<int> won = 0;
  std::vector<std::thread> nodes;
  for (int i = 0; i < 8; ++i) {
    nodes.emplace_back([&] {
      if (directory_->put("job/a", "elsewhere 2", Expect::exactly(start), {})) ++won;
    });
  }
  for (auto& node : nodes) node.join();
  EXPECT_EQ(won, 1);
}

}  // namespace
}  // namespace godwit::directory
