#include "base/crew.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>

namespace godwit {
namespace {

TEST(Crew, DoesEachPartOnce) {
  Crew crew(3);
  for (int round = 0; round < 200; ++round) {
    std::array<std::atomic<int>, 50> done{};
    crew.share(done.size(), [&](size_t part) { ++done[part]; });
    for (auto& times : done) ASSERT_EQ(times, 1);
  }
}

TEST(Crew, OfNobodyLeavesItToTheCaller) {
  Crew crew(0);
  auto caller = std::this_thread::get_id();
  int done = 0;
  crew.share(5, [&](size_t) { done += std::this_thread::get_id() == caller; });
  EXPECT_EQ(done, 5);
}

TEST(Crew, HelpersTakePart) {
  std::atomic<int> started = 0;
  Crew crew(1, [&] { ++started; });
  auto caller = std::this_thread::get_id();
  std::atomic<bool> helped = false;
  crew.share(2, [&](size_t) {  // neither returns before the helper has come
    if (std::this_thread::get_id() != caller) helped = true;
    while (!helped) std::this_thread::yield();
  });
  EXPECT_EQ(started, 1);
}

TEST(Crew, BeginsWithoutTheCaller) {
  Crew crew(1);
  crew.finish();  // of nothing
  std::atomic<int> done = 0;
  crew.begin(7, [&](size_t) { ++done; });
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (done < 7 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(done, 7);
  crew.finish();
  EXPECT_EQ(done, 7);
}

TEST(Crew, EndsInTheMidstOfATask) {
  std::atomic<int> done = 0;
  {
    Crew crew(2);
    crew.begin(1000, [&](size_t) { ++done; });
  }
  EXPECT_LE(done, 1000);
}

}  // namespace
}  // namespace godwit
