#include "node/switchover.h"

#include <gtest/gtest.h>

#include <thread>

#include "directory/embedded.h"

namespace godwit::node {
namespace {

using directory::Expect;

// A directory whose answers get lost: the write is carried out, or not, and nobody is told.
class Unreliable : public directory::Directory {
 public:
  explicit Unreliable(directory::Directory& inner) : inner_(inner) {}
  Result<std::optional<directory::Entry>> get(std::string_view key) override {
    if (lose_gets > 0 && lose_gets-- > 0) return error(ErrorKind::peer_lost, "lost");
    return inner_.get(key);
  }
  Result<std::vector<directory::Entry>> list(std::string_view prefix) override { return inner_.list(prefix); }
  Result<uint64_t> put(std::string_view key, std::string_view value, Expect expect,
                       std::chrono::milliseconds lease) override {
    if (lose_requests > 0 && lose_requests-- > 0) return error(ErrorKind::peer_lost, "lost");
    auto version = inner_.put(key, value, expect, lease);
    if (lose_answers > 0 && lose_answers-- > 0) return error(ErrorKind::peer_lost, "lost");
    return version;
  }
  Result<uint64_t> watch(std::string_view prefix, uint64_t since, std::chrono::milliseconds patience) override {
    return inner_.watch(prefix, since, patience);
  }
  Result<void> remove(std::string_view key, Expect expect) override { return inner_.remove(key, expect); }

  int lose_gets = 0, lose_requests = 0, lose_answers = 0;

 private:
  directory::Directory& inner_;
};

class Switchover : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = *directory::Embedded::open(":memory:");
    job_.set_id("node1-1");
    job_.set_node("node1");
    job_.set_epoch(4);
    ASSERT_TRUE(directory_->put(job_key("node1-1"), job_.SerializeAsString(), Expect::exactly(0)));
    version_ = *version_of(*directory_, "node1-1", "node1", 4);
    arrived_ = job_;
    arrived_.set_node("node2");
    arrived_.set_epoch(5);
  }
  api::Job now() {
    api::Job job;
    EXPECT_TRUE(job.ParseFromString((*directory_->get(job_key("node1-1")))->value));
    return job;
  }
  std::unique_ptr<directory::Directory> directory_;
  api::Job job_, arrived_;
  uint64_t version_ = 0;
};

TEST_F(Switchover, MovesTheJob) {
  Ruling ruling = switch_over(*directory_, arrived_, version_);
  EXPECT_EQ(ruling.decision, Decision::here);
  EXPECT_EQ(now().node(), "node2");
  EXPECT_EQ(now().epoch(), 5u);
  EXPECT_EQ(fence(*directory_, job_).decision, Decision::elsewhere);
}

TEST_F(Switchover, IsImpossibleAfterAFence) {
  Ruling ruling = fence(*directory_, job_);
  EXPECT_EQ(ruling.decision, Decision::here);
  EXPECT_EQ(ruling.epoch, 5u);
  EXPECT_EQ(switch_over(*directory_, arrived_, version_).decision, Decision::elsewhere);
  EXPECT_EQ(now().node(), "node1");
}

TEST_F(Switchover, SetsOutOnlyFromTheEpochThatWasAgreed) {
  EXPECT_EQ(*version_of(*directory_, "node1-1", "node1", 3), 0u);
  EXPECT_EQ(*version_of(*directory_, "node1-1", "node3", 4), 0u);
  EXPECT_EQ(*version_of(*directory_, "node1-2", "node1", 4), 0u);
  EXPECT_EQ(switch_over(*directory_, arrived_, 0).decision, Decision::elsewhere);
}

TEST_F(Switchover, IsKnownInTheEndThoughItsAnswerWasLost) {
  Unreliable unreliable(*directory_);
  unreliable.lose_answers = 1;
  EXPECT_EQ(switch_over(unreliable, arrived_, version_).decision, Decision::unknown);
  EXPECT_EQ(switch_over(unreliable, arrived_, version_).decision, Decision::here);
}

TEST_F(Switchover, IsMadeInTheEndThoughItsRequestWasLost) {
  Unreliable unreliable(*directory_);
  unreliable.lose_requests = 1;
  EXPECT_EQ(switch_over(unreliable, arrived_, version_).decision, Decision::unknown);
  EXPECT_EQ(now().node(), "node1");
  EXPECT_EQ(switch_over(unreliable, arrived_, version_).decision, Decision::here);
}

TEST_F(Switchover, AFenceWhoseAnswerWasLostHoldsAndRaisesTheEpochOnce) {
  Unreliable unreliable(*directory_);
  unreliable.lose_answers = 1;
  EXPECT_EQ(fence(unreliable, job_).decision, Decision::unknown);
  Ruling again = fence(unreliable, job_);
  EXPECT_EQ(again.decision, Decision::here);
  EXPECT_EQ(again.epoch, 5u);
  EXPECT_EQ(switch_over(*directory_, arrived_, version_).decision, Decision::elsewhere);
}

TEST_F(Switchover, NothingIsDecidedWithoutTheDirectory) {
  Unreliable unreliable(*directory_);
  unreliable.lose_gets = 1;
  EXPECT_EQ(fence(unreliable, job_).decision, Decision::unknown);
}

TEST_F(Switchover, AFenceHoldsThoughTheEntryWasRewrittenMeanwhile) {
  ASSERT_TRUE(directory_->put(job_key("node1-1"), job_.SerializeAsString(), Expect::anything()));
  EXPECT_EQ(fence(*directory_, job_).decision, Decision::here);
  EXPECT_EQ(switch_over(*directory_, arrived_, version_).decision, Decision::elsewhere);
}

TEST_F(Switchover, IsSettledAfterARestartOfTheDestination) {
  EXPECT_EQ(settle_arrival(*directory_, arrived_).decision, Decision::elsewhere);
  EXPECT_EQ(now().epoch(), 4u);
  EXPECT_EQ(switch_over(*directory_, arrived_, version_).decision, Decision::elsewhere)
      << "a late request must not count";
  EXPECT_EQ(switch_over(*directory_, arrived_, *version_of(*directory_, "node1-1", "node1", 4)).decision,
            Decision::here);
  EXPECT_EQ(settle_arrival(*directory_, arrived_).decision, Decision::here);
}

TEST_F(Switchover, ExactlyOneSideWinsARace) {
  for (int round = 0; round < 50; ++round) {
    SetUp();
    Ruling source, destination;
    std::thread other([&] { destination = switch_over(*directory_, arrived_, version_); });
    source = fence(*directory_, job_);
    other.join();
    ASSERT_NE(source.decision, Decision::unknown);
    ASSERT_NE(destination.decision, Decision::unknown);
    ASSERT_NE(source.decision == Decision::here, destination.decision == Decision::here);
    ASSERT_EQ(now().node(), source.decision == Decision::here ? "node1" : "node2");
  }
}

}  // namespace
}  // namespace godwit::node
