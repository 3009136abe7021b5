#include "address_space/read_ahead.h"

#include <gtest/gtest.h>

#include <chrono>

#include "address_space/page_stream.h"

namespace godwit::address_space {
namespace {

constexpr uint64_t kHeap = uint64_t{1} << 30;

uint64_t page(uint64_t number) { return kHeap + number * kPageBytes; }
uint64_t pages(sys::AddressRange range) { return range.size() / kPageBytes; }
uint64_t next_random(uint64_t& state) { return state = state * 6364136223846793005u + 1442695040888963407u; }

TEST(ReadAhead, BeginsWithTheSameForEveryProgram) {
  ReadAhead rule;
  sys::AddressRange first = *rule.fetch(page(0));
  EXPECT_EQ(first.start, page(0));
  EXPECT_EQ(pages(first), 16u);
  EXPECT_EQ(rule.pages_ahead(), 15u);
  EXPECT_EQ(rule.pages_ahead_used(), 0u);
}

TEST(ReadAhead, AMarkerReachedFetchesTwiceAsMuchBehindTheWindow) {
  ReadAhead rule;
  rule.fetch(page(0));
  EXPECT_FALSE(rule.is_marker(page(7)));
  ASSERT_TRUE(rule.is_marker(page(8)));
  auto next = rule.came_to(page(8));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->start, page(16));
  EXPECT_EQ(pages(*next), 32u);
  EXPECT_EQ(rule.pages_ahead_used(), 15u);
  EXPECT_FALSE(rule.is_marker(page(8)));
  EXPECT_FALSE(rule.came_to(page(8)));
}

TEST(ReadAhead, AProgramThatGoesStraightOnGetsTheLongestWindowAndWaitsOnce) {
  ReadAhead rule;
  sys::AddressRange window = *rule.fetch(page(0));
  uint64_t end = window.end;
  uint64_t waits = 1;
  for (uint64_t number = 1; number < 10'000; ++number) {
    if (page(number) >= end) {
      window = *rule.fetch(page(number));
      end = window.end;
      ++waits;
    }
    if (!rule.is_marker(page(number))) continue;
    auto next = rule.came_to(page(number));
    ASSERT_TRUE(next);
    window = *next;
    end = window.end;
  }
  EXPECT_EQ(waits, 1u);
  EXPECT_EQ(pages(window), ReadAhead::kMostPages);
  EXPECT_GT(rule.pages_ahead_used(), 9'000u);
}

TEST(ReadAhead, GoesStraightOnWithoutMarkersToo) {
  ReadAhead rule;
  uint64_t at = 0;
  for (int i = 0; i < 6; ++i) at += pages(*rule.fetch(page(at)));
  EXPECT_EQ(at, 16u + 32 + 64 + 128 + 256 + 256);
}

TEST(ReadAhead, AProgramThatJumpsAboutEndsWithSinglePages) {
  ReadAhead rule;
  uint64_t random = 7;
  sys::AddressRange last{};
  for (int i = 0; i < 400; ++i) last = *rule.fetch(page((next_random(random) >> 20) % (uint64_t{1} << 40)));
  EXPECT_EQ(pages(last), ReadAhead::kFewestPages);
  EXPECT_EQ(rule.pages_ahead_used(), 0u);
  EXPECT_LT(rule.pages_ahead(), 32u * 15 + 32 * 7 + 32 * 3 + 32);
}

TEST(ReadAhead, FetchesNoLessThanComesWhileTheProgramWaitsAnyway) {
  using std::chrono::microseconds;
  ReadAhead fast, slow;
  uint64_t random = 7;
  sys::AddressRange last_fast{}, last_slow{};
  for (int i = 0; i < 400; ++i) {
    uint64_t where = page((next_random(random) >> 20) % (uint64_t{1} << 40));
    last_fast = *fast.fetch(where);
    last_slow = *slow.fetch(where);
    fast.note_answer(microseconds(120), 15, microseconds(i % 5 == 0 ? 30 : 900));
    slow.note_answer(microseconds(500), 15, microseconds(6000 + i));
  }
  EXPECT_EQ(pages(last_fast), 16u);
  EXPECT_EQ(pages(last_slow), 1u);
  fast.note_answer(microseconds(120), 0, microseconds(0));  // says nothing
  EXPECT_EQ(pages(*fast.fetch(page(0))), 16u);
}

TEST(ReadAhead, ComesBackFromSinglePages) {
  ReadAhead rule;
  uint64_t random = 7;
  for (int i = 0; i < 400; ++i) rule.fetch(page((next_random(random) >> 20) % (uint64_t{1} << 40)));
  uint64_t at = 0, fetches = 0;
  for (; at < 1000; ++fetches) at += pages(*rule.fetch(page(at)));
  EXPECT_LT(fetches, 13u);
}

TEST(ReadAhead, SeveralWaysThroughMemoryAreFollowedAtOnce) {
  ReadAhead rule;
  uint64_t at[4] = {0, 100'000, 200'000, 300'000};
  for (int round = 0; round < 8; ++round) {
    for (uint64_t& way : at) way += pages(*rule.fetch(page(way)));
  }
  for (uint64_t& way : at) EXPECT_EQ(pages(*rule.fetch(page(way))), ReadAhead::kMostPages);
}

TEST(ReadAhead, APageThatIsOnItsWayIsNotAskedForAgain) {
  ReadAhead rule;
  rule.fetch(page(0));
  EXPECT_FALSE(rule.fetch(page(3)));
  EXPECT_EQ(rule.pages_ahead_used(), 15u);
  EXPECT_EQ(rule.pages_ahead(), 15u);
  rule.forget_windows();
  EXPECT_TRUE(rule.fetch(page(3)));
}

TEST(ReadAhead, DoesNotReachBeyondAllAddresses) {
  ReadAhead rule;
  uint64_t last = ~uint64_t{0} - 2 * kPageBytes + 1;
  sys::AddressRange window = *rule.fetch(last);
  EXPECT_GT(window.end, window.start);
  EXPECT_LE(pages(window), 2u);
}

}  // namespace
}  // namespace godwit::address_space
