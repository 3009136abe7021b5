#include "address_space/stream_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace godwit::address_space {
namespace {

using namespace std::chrono_literals;

Result<void> nothing() { return {}; }

bool waits(const std::future<Result<void>>& task) { return task.wait_for(30ms) == std::future_status::timeout; }

std::future<Result<void>> in_thread(std::function<Result<void>()> task) {
  return std::async(std::launch::async, std::move(task));
}

TEST(StreamGate, PagesOfARoundWaitUntilItBegins) {
  StreamGate gate;
  auto pages = in_thread([&] { return gate.pass(1, nothing); });
  EXPECT_TRUE(waits(pages));
  ASSERT_TRUE(gate.barrier(0, 1));
  EXPECT_TRUE(pages.get());
}

TEST(StreamGate, ABarrierWaitsForWhatWasSentBefore) {
  StreamGate gate;
  ASSERT_TRUE(gate.barrier(0, 1));
  ASSERT_TRUE(gate.pass(1, nothing));
  auto barrier = in_thread([&] { return gate.barrier(2, 1); });
  EXPECT_TRUE(waits(barrier));
  ASSERT_TRUE(gate.pass(1, nothing));
  EXPECT_TRUE(barrier.get());
}

// A page goes by one connection, is dropped by the main one and goes by another: the last word counts.
TEST(StreamGate, NothingPassesABarrier) {
  StreamGate gate;
  std::string page;
  auto put = [&](char content) {
    return [&page, content]() -> Result<void> { return page += content, Result<void>(); };
  };
  ASSERT_TRUE(gate.barrier(0, 1));
  auto late = in_thread([&] { return std::this_thread::sleep_for(10ms), gate.pass(1, put('a')); });
  auto early = in_thread([&] { return gate.pass(2, put('c')); });
  ASSERT_TRUE(gate.barrier(1, 1));
  ASSERT_TRUE(gate.expect_closed());
  EXPECT_TRUE(waits(early));
  page += 'b';
  ASSERT_TRUE(gate.barrier(1, 2));
  EXPECT_TRUE(late.get() && early.get());
  EXPECT_EQ(page, "abc");
}

TEST(StreamGate, WhatIsBeingPutIsWaitedFor) {
  StreamGate gate;
  ASSERT_TRUE(gate.barrier(0, 1));
  std::promise<void> begun;
  std::promise<void> go_on;
  auto uncounted = in_thread([&] {
    return gate.pass(1, [&]() -> Result<void> { return begun.set_value(), go_on.get_future().wait(), Result<void>(); });
  });
  begun.get_future().wait();
  auto barrier = in_thread([&] { return gate.barrier(0, 1); });
  EXPECT_TRUE(waits(barrier));
  go_on.set_value();
  EXPECT_TRUE(uncounted.get());
  auto ended = barrier.get();
  ASSERT_FALSE(ended);  // more than were announced
  EXPECT_EQ(ended.error().kind, ErrorKind::corrupt);
}

TEST(StreamGate, ManyThreadsAndRounds) {
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 200;
  StreamGate gate;
  std::atomic<uint64_t> now = 0;
  std::atomic<int> misplaced = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&] {
      for (uint64_t round = 1; round <= kRounds; ++round) {
        auto passed = gate.pass(round, [&]() -> Result<void> { return misplaced += now != round, Result<void>(); });
        EXPECT_TRUE(passed);
      }
    });
  }
  for (uint64_t round = 1; round <= kRounds; ++round) {
    now = round;
    ASSERT_TRUE(gate.barrier((round - 1) * kThreads, round));
    ASSERT_FALSE(gate.expect_closed());
    ASSERT_TRUE(gate.barrier(round * kThreads, round));
    ASSERT_TRUE(gate.expect_closed());
    now = 0;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(misplaced, 0);
}

TEST(StreamGate, AFailureEndsEveryWait) {
  StreamGate gate;
  ASSERT_TRUE(gate.barrier(0, 1));
  auto barrier = in_thread([&] { return gate.barrier(1, 1); });
  auto pages = in_thread([&] { return gate.pass(2, nothing); });
  EXPECT_TRUE(waits(barrier));
  gate.fail(error(ErrorKind::peer_lost, "cut"));
  EXPECT_EQ(barrier.get().error().kind, ErrorKind::peer_lost);
  EXPECT_EQ(pages.get().error().kind, ErrorKind::peer_lost);
}

TEST(StreamGate, ImpossibleRoundsAreRefused) {
  StreamGate gate;
  EXPECT_FALSE(gate.barrier(0, 2));
  ASSERT_TRUE(gate.barrier(0, 1));
  EXPECT_FALSE(gate.barrier(0, 2));  // the first has not ended
  EXPECT_FALSE(gate.barrier(0, 0));
  ASSERT_TRUE(gate.barrier(0, 1));
  ASSERT_TRUE(gate.barrier(0, 2));
  EXPECT_FALSE(gate.pass(1, nothing));
}

}  // namespace
}  // namespace godwit::address_space
