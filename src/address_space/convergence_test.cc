#include "address_space/convergence.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace godwit::address_space {
namespace {

using Verdict = Convergence::Verdict;
using std::chrono::duration;
using std::chrono::duration_cast;
using std::chrono::nanoseconds;

nanoseconds seconds(double length) { return duration_cast<nanoseconds>(duration<double>(length)); }

// A program of `size` bytes that writes to new pages at `rate`, over a link of `bandwidth`, bytes per second.
struct Program {
  double size, rate, bandwidth;
  double overhead = 0.0005;  // of each round, seconds
  bool looks = false;        // at what was written, after each round

  Verdict migrate(Convergence& rule) const {
    double left = size;
    double last = 0;
    for (;;) {
      double length = left / bandwidth + overhead;
      double written = std::min(size, rate * length);
      Round round{static_cast<uint64_t>(left), seconds(length), seconds(last)};
      if (looks) round.written_bytes = static_cast<uint64_t>(written);
      Verdict verdict = rule.after(round);
      if (verdict != Verdict::another) return verdict;
      left = written;
      last = length;
    }
  }
};

TEST(Convergence, IdleProgramNeedsTwoRounds) {
  Convergence rule({});
  EXPECT_EQ((Program{1e9, 0, 1e9}).migrate(rule), Verdict::freeze);
  EXPECT_EQ(rule.rounds(), 2);
}

TEST(Convergence, BusyProgramConverges) {
  Convergence rule({});
  EXPECT_EQ((Program{1e9, 4e8, 1.5e9}).migrate(rule), Verdict::freeze);
  EXPECT_GT(rule.rounds(), 3);
  EXPECT_LT(rule.rounds(), 15);
  EXPECT_LT(rule.expected_freeze(), std::chrono::milliseconds(5));
}

TEST(Convergence, ProgramFasterThanTheLinkIsStuckSoon) {
  Convergence rule({});
  EXPECT_EQ((Program{1e9, 3e9, 1e9}).migrate(rule), Verdict::stuck);
  EXPECT_EQ(rule.rounds(), 2);
}

TEST(Convergence, ASlowerProgramGetsAnotherChance) {
  Convergence rule({});
  EXPECT_EQ((Program{1e9, 3e9, 1e9}).migrate(rule), Verdict::stuck);
  int before = rule.rounds();
  EXPECT_TRUE(rule.may_go_on());
  rule.give_another_chance();
  EXPECT_EQ((Program{1e9, 1e8, 1e9}).migrate(rule), Verdict::freeze);
  EXPECT_GT(rule.rounds(), before);
}

// It writes in the first two of every eight rounds, and owes for that in the others.
TEST(Convergence, TheBurstOfASlowedProgramIsNotAllThereIs) {
  Convergence rule({.max_freeze = std::chrono::milliseconds(20), .max_rounds = 100});
  EXPECT_EQ((Program{1e9, 3e9, 1e9}).migrate(rule), Verdict::stuck);
  rule.give_another_chance();
  Verdict verdict = Verdict::another;
  for (int round = 0; verdict == Verdict::another; ++round) {
    verdict = rule.after({round % 8 < 3 ? 100'000'000u : 0u, seconds(0.1), seconds(0.1)});
  }
  EXPECT_EQ(verdict, Verdict::freeze);
}

TEST(Convergence, ASlowedProgramThatStillWritesTooMuchIsStuckInTheEnd) {
  Convergence rule({.max_freeze = std::chrono::milliseconds(20), .max_rounds = 100});
  EXPECT_EQ((Program{1e9, 3e9, 1e9}).migrate(rule), Verdict::stuck);
  rule.give_another_chance();
  EXPECT_EQ((Program{1e9, 2e9, 1e9}).migrate(rule), Verdict::stuck);
  EXPECT_LT(rule.rounds(), 20);
}

TEST(Convergence, RoundsAreBounded) {
  Convergence rule({.max_freeze = std::chrono::milliseconds(3), .max_rounds = 3});
  EXPECT_EQ((Program{1e9, 5e8, 1e9}).migrate(rule), Verdict::stuck);
  EXPECT_EQ(rule.rounds(), 3);
}

TEST(Convergence, WhereTheRestMayFollowARoundHasToSaveTwiceWhatItRepeats) {
  Convergence fast({.rest_may_follow = true});
  EXPECT_EQ((Program{1e9, 4e8, 1e9, 0.0005, true}).migrate(fast), Verdict::stuck);
  EXPECT_EQ(fast.rounds(), 1);
  Convergence slow({.rest_may_follow = true});
  EXPECT_EQ((Program{1e9, 3e8, 1e9, 0.0005, true}).migrate(slow), Verdict::freeze);
  Convergence all_before({});
  EXPECT_EQ((Program{1e9, 6e8, 1e9, 0.0005, true}).migrate(all_before), Verdict::freeze);
}

TEST(Convergence, WhatTheFreezeMaySendNeedNotFollow) {
  Convergence rule(
      {.max_freeze = std::chrono::milliseconds(500), .rest_may_follow = true, .memory_bytes = 1'000'000'000});
  EXPECT_EQ((Program{1e9, 4e8, 1e9, 0.0005, true}).migrate(rule), Verdict::freeze);
}

TEST(Convergence, ARoundIsGivenUpInItsMidst) {
  Convergence rule({.rest_may_follow = true, .memory_bytes = 1'000'000'000});
  EXPECT_TRUE(rule.pays(200'000'000, 200'000'000));  // too soon to tell
  EXPECT_TRUE(rule.pays(300'000'000, 90'000'000));
  EXPECT_FALSE(rule.pays(300'000'000, 110'000'000));
  EXPECT_TRUE(rule.pays(300'000'000, 0));
  EXPECT_TRUE(Convergence({.memory_bytes = 1'000'000'000}).pays(300'000'000, 200'000'000));
}

TEST(Convergence, GoodEnoughIsGoodEnough) {
  Convergence rule({.max_freeze = std::chrono::seconds(3), .max_rounds = 30});
  EXPECT_EQ((Program{1e9, 1.1e9, 1e9}).migrate(rule), Verdict::freeze);
}

}  // namespace
}  // namespace godwit::address_space
