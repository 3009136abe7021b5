#include "freeze/system_call_restart.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

namespace godwit::freeze {
namespace {

using Call = image::SystemCallInProgress;

user_regs_struct stopped_in(int64_t number, int64_t result) {
  user_regs_struct registers{};
  registers.orig_rax = static_cast<uint64_t>(number);
  registers.rax = static_cast<uint64_t>(result);
  registers.rdi = 101;
  registers.rsi = 102;
  registers.rdx = 103;
  registers.r10 = 104;
  registers.r8 = 105;
  registers.r9 = 106;
  return registers;
}

WaitFacts block(RestartFunction function, int64_t remaining_ns) {
  WaitFacts facts;
  facts.function = function;
  facts.remaining_ns = remaining_ns;
  return facts;
}

TEST(ClassifyCall, WhatTheKernelRestartsNeedsNothing) {
  for (int64_t result : {kRestartSystemCall, kRestartNoInterrupt, kRestartNoHandler}) {
    for (int64_t number : {SYS_read, SYS_wait4, SYS_pause, SYS_clock_nanosleep, SYS_futex, SYS_rt_sigsuspend}) {
      EXPECT_EQ(classify_call(stopped_in(number, result), nullptr).treatment(), Call::NONE) << number << " " << result;
    }
  }
}

TEST(ClassifyCall, OwnCodeIsLeftAloneWhateverRaxHolds) {
  for (int64_t result : {int64_t{-EINTR}, kRestartBlock, kRestartNoHandler, int64_t{0}}) {
    EXPECT_EQ(classify_call(stopped_in(-1, result), nullptr).treatment(), Call::NONE);
  }
}

TEST(ClassifyCall, FinishedCallsAreLeftAlone) {
  EXPECT_EQ(classify_call(stopped_in(SYS_epoll_wait, 0), nullptr).treatment(), Call::NONE);
  EXPECT_EQ(classify_call(stopped_in(SYS_read, 100), nullptr).treatment(), Call::NONE);
  EXPECT_EQ(classify_call(stopped_in(SYS_close, -EINTR), nullptr).treatment(), Call::NONE);
  EXPECT_EQ(classify_call(stopped_in(SYS_connect, -EINTR), nullptr).treatment(), Call::NONE);
}

TEST(ClassifyCall, TimesThatTheKernelWroteBackAreAdjusted) {
  for (int64_t number : {SYS_select, SYS_pselect6, SYS_ppoll}) {
    Call call = classify_call(stopped_in(number, kRestartNoHandler), nullptr);
    EXPECT_EQ(call.treatment(), Call::ADJUST);
    EXPECT_EQ(call.number(), static_cast<uint64_t>(number));
  }
}

TEST(ClassifyCall, RestartBlocksAreReplanted) {
  WaitFacts facts = block(RestartFunction::nanosleep, 77);
  facts.clock = 7;
  facts.rest_address = 0x1000;
  for (int64_t number : {SYS_nanosleep, SYS_clock_nanosleep, SYS_restart_syscall}) {
    Call call = classify_call(stopped_in(number, kRestartBlock), &facts);
    EXPECT_EQ(call.treatment(), Call::REPLANT_NANOSLEEP);
    EXPECT_EQ(call.number(), static_cast<uint64_t>(SYS_clock_nanosleep));
    EXPECT_EQ(call.remaining_ns(), 77);
    EXPECT_EQ(call.arguments(0), 7u);
    EXPECT_EQ(call.arguments(3), 0x1000u);
  }
  facts = block(RestartFunction::poll, -5);
  Call poll = classify_call(stopped_in(SYS_restart_syscall, kRestartBlock), &facts);
  EXPECT_EQ(poll.treatment(), Call::REPLANT_POLL);
  EXPECT_EQ(poll.remaining_ns(), 0);
  EXPECT_EQ(poll.arguments(0), 101u);
  EXPECT_EQ(poll.arguments(1), 102u);
  facts.has_timeout = false;
  poll = classify_call(stopped_in(SYS_restart_syscall, kRestartBlock), &facts);
  EXPECT_EQ(poll.treatment(), Call::REPEAT);
  EXPECT_EQ(poll.number(), static_cast<uint64_t>(SYS_poll));
}

TEST(ClassifyCall, FutexWaitsByTheirOperation) {
  WaitFacts facts = block(RestartFunction::futex, 99);
  user_regs_struct registers = stopped_in(SYS_restart_syscall, kRestartBlock);
  registers.rsi = FUTEX_WAIT_PRIVATE;
  Call relative = classify_call(registers, &facts);
  EXPECT_EQ(relative.treatment(), Call::REPLANT_FUTEX);
  EXPECT_EQ(relative.remaining_ns(), 99);
  EXPECT_EQ(relative.arguments(1), static_cast<uint64_t>(FUTEX_WAIT_PRIVATE));
  registers.rsi = FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME;
  Call until = classify_call(registers, &facts);
  EXPECT_EQ(until.treatment(), Call::REPEAT);
  EXPECT_EQ(until.number(), static_cast<uint64_t>(SYS_futex));
}

TEST(ClassifyCall, WithoutFactsTheFullWaitIsDoneAgain) {
  Call sleep = classify_call(stopped_in(SYS_nanosleep, kRestartBlock), nullptr);
  EXPECT_EQ(sleep.treatment(), Call::REPEAT);
  EXPECT_EQ(sleep.number(), static_cast<uint64_t>(SYS_nanosleep));
  EXPECT_TRUE(sleep.full_wait());
  Call again = classify_call(stopped_in(SYS_restart_syscall, kRestartBlock), nullptr);
  EXPECT_EQ(again.treatment(), Call::GIVE_UP);
  Call epoll = classify_call(stopped_in(SYS_epoll_wait, -EINTR), nullptr);
  EXPECT_EQ(epoll.treatment(), Call::REPEAT);
  EXPECT_TRUE(epoll.full_wait());
  EXPECT_FALSE(classify_call(stopped_in(SYS_semop, -EINTR), nullptr).full_wait());
}

TEST(ClassifyCall, WaitsThatNeverRestartAreRepeated) {
  WaitFacts facts;
  facts.waited_known = true;
  facts.waited_ns = 5'000;
  for (int64_t number : {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_rt_sigtimedwait, SYS_semtimedop}) {
    Call call = classify_call(stopped_in(number, -EINTR), &facts);
    EXPECT_EQ(call.treatment(), Call::REPEAT);
    EXPECT_EQ(call.number(), static_cast<uint64_t>(number));
    EXPECT_EQ(call.waited_ns(), 5'000);
    EXPECT_FALSE(call.full_wait());
    EXPECT_NE(timeout_place(call.number()).kind, TimeoutKind::none);
  }
}

TEST(SameWait, TellsOneSleepFromTheNext) {
  TaskRecord before{};
  before.tid = 5;
  before.call_number = SYS_epoll_wait;
  before.switches = 10;
  TaskRecord now = before;
  now.switches = 12;
  EXPECT_TRUE(same_wait(before, now));
  now.switches = 20;
  EXPECT_FALSE(same_wait(before, now));
  now = before;
  now.arguments[3] = 1;
  EXPECT_FALSE(same_wait(before, now));
  now = before;
  now.stack = 16;
  EXPECT_FALSE(same_wait(before, now));
  now = before;
  now.call_number = SYS_read;
  EXPECT_FALSE(same_wait(before, now));
}

}  // namespace
}  // namespace godwit::freeze
