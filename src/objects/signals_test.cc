#include "objects/signals.h"

#include <gtest/gtest.h>

#include <cstring>

namespace godwit::objects {
namespace {

freeze::CallBatch batch() { return freeze::CallBatch(freeze::RemoteAddress{0x10000}); }

siginfo_t queued(int signal, int code) {
  siginfo_t info;
  std::memset(&info, 0, sizeof info);
  info.si_signo = signal;
  info.si_code = code;
  return info;
}

siginfo_t decoded(const image::SignalInfo& image) {
  siginfo_t info;
  std::memcpy(&info, image.siginfo().data(), sizeof info);
  return info;
}

TEST(PendingImages, KeepsOrderAndAddsThoseWithoutAnEntry) {
  std::vector<siginfo_t> queue{queued(35, SI_QUEUE), queued(10, SI_USER), queued(35, SI_QUEUE)};
  uint64_t set = uint64_t{1} << 34 | uint64_t{1} << 9 | uint64_t{1} << 11;
  auto images = pending_images(queue, set);
  ASSERT_EQ(images.size(), 4u);
  EXPECT_EQ(decoded(images[0]).si_signo, 35);
  EXPECT_EQ(decoded(images[1]).si_signo, 10);
  EXPECT_EQ(decoded(images[2]).si_signo, 35);
  EXPECT_EQ(decoded(images[3]).si_signo, 12);
  EXPECT_EQ(decoded(images[3]).si_code, SI_USER);
}

TEST(PendingImages, TheKernelsLinkToATimerDoesNotTravel) {
  constexpr size_t kLink = 8;  // _sys_private, in ints from the start
  siginfo_t info = queued(34, SI_TIMER);
  int words[sizeof(siginfo_t) / sizeof(int)];
  std::memcpy(words, &info, sizeof info);
  words[kLink] = 5;
  std::memcpy(&info, words, sizeof info);
  auto images = pending_images({&info, 1}, 0);
  std::memcpy(words, images[0].siginfo().data(), sizeof words);
  EXPECT_EQ(words[kLink], 0);
}

TEST(AddPending, HostileSignalsAreRefused) {
  auto refused = [](std::string bytes) {
    image::SignalInfo image;
    image.set_siginfo(bytes);
    const image::SignalInfo* one = &image;
    auto calls = batch();
    return !add_process_pending(calls, 5, {&one, 1});
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused(std::string(127, '\0')));
  EXPECT_TRUE(refused(std::string(128, '\0')));
  EXPECT_TRUE(refused(std::string(1, '\x41') + std::string(127, '\0')));
}

TEST(AddPending, StopAndKillAreNotQueuedAgain) {
  std::vector<siginfo_t> queue{queued(SIGSTOP, SI_USER), queued(SIGKILL, SI_USER), queued(SIGTERM, SI_USER)};
  auto images = pending_images(queue, 0);
  std::vector<const image::SignalInfo*> pending;
  for (auto& image : images) pending.push_back(&image);
  auto calls = batch();
  ASSERT_TRUE(add_thread_pending(calls, 5, 6, pending));
  EXPECT_EQ(calls.size(), 1u);
}

TEST(AddPending, MoreThanOneBatchHoldsIsRefused) {
  siginfo_t info = queued(34, SI_QUEUE);
  auto image = pending_images({&info, 1}, 0)[0];
  std::vector<const image::SignalInfo*> pending(5000, &image);
  auto calls = batch();
  EXPECT_EQ(add_process_pending(calls, 5, pending).error().kind, ErrorKind::exhausted);
}

TEST(AddSignalActions, HostileActionsAreRefused) {
  auto refused = [](std::vector<int> signals) {
    image::SignalActions actions;
    for (int signal : signals) actions.add_actions()->set_signal(signal);
    auto calls = batch();
    return !add_signal_actions(calls, actions);
  };
  EXPECT_FALSE(refused({1, 2, 64}));
  EXPECT_TRUE(refused({0}));
  EXPECT_TRUE(refused({65}));
  EXPECT_TRUE(refused({SIGKILL}));
  EXPECT_TRUE(refused({SIGSTOP}));
  EXPECT_TRUE(refused({5, 5}));
}

}  // namespace
}  // namespace godwit::objects
