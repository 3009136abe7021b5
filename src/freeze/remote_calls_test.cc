#include "freeze/remote_calls.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "proc/maps.h"
#include "sys/ptrace.h"
#include "sys/text_file.h"

namespace godwit::freeze {
namespace {

// A child that counts in shared memory until it is killed.
class Counting : public ::testing::Test {
 protected:
  void SetUp() override {
    counter_ = static_cast<volatile uint64_t*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    child_ = ::fork();
    if (child_ == 0) {
      for (;;) *counter_ = *counter_ + 1;
    }
    ASSERT_TRUE(sys::ptrace_seize(child_, PTRACE_O_TRACESYSGOOD));
    ASSERT_TRUE(sys::ptrace_interrupt(child_));
    auto stop = sys::wait_for_stop(child_, soon());
    ASSERT_TRUE(stop);
    ASSERT_EQ(stop->kind, sys::Stop::Kind::interrupt);
    std::string text = *sys::read_text("/proc/" + std::to_string(child_) + "/maps");
    std::vector<proc::MapEntry> maps = *proc::parse_maps(text);
    for (const auto& entry : maps) {
      if (entry.name == "[vdso]") vdso_ = RemoteAddress{entry.start};
    }
    mappings_ = maps.size();
  }
  void TearDown() override {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  static sys::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(5); }

  volatile uint64_t* counter_ = nullptr;
  pid_t child_ = -1;
  RemoteAddress vdso_{};
  size_t mappings_ = 0;
};

TEST_F(Counting, BatchReturnsResultsDataAndReferences) {
  auto calls = RemoteCalls::open(child_, vdso_);
  ASSERT_TRUE(calls) << calls.error().message();
  CallBatch batch = calls->batch();
  size_t pid = batch.add(SYS_getpid);
  RemoteAddress ends = batch.reserve(2 * sizeof(int));
  RemoteAddress word = batch.put_string("godwit");
  size_t pipe = batch.add(SYS_pipe2, {value(ends), 0});
  size_t duplicate = batch.add(SYS_dup, {0});
  size_t closed = batch.add_using(SYS_close, {}, 0, duplicate);
  size_t wrong = batch.add(SYS_close, {9999});
  auto ran = calls->run(batch);
  ASSERT_TRUE(ran) << ran.error().message();
  EXPECT_EQ(batch.result(pid), child_);
  EXPECT_EQ(batch.result(pipe), 0);
  EXPECT_GE(batch.result(duplicate), 0);
  EXPECT_EQ(batch.result(closed), 0);
  EXPECT_EQ(batch.result(wrong), -EBADF);
  EXPECT_GT((batch.read<std::array<int, 2>>(ends)[1]), 2);
  char back[7];
  batch.read_bytes(word, std::as_writable_bytes(std::span(back)));
  EXPECT_STREQ(back, "godwit");
  EXPECT_FALSE(batch.all_succeeded("test"));
}

TEST_F(Counting, ProgramGoesOnUnchangedAfterTheScope) {
  user_regs_struct before = *sys::get_registers(child_);
  uint64_t mask = *sys::get_signal_mask(child_);
  {
    auto calls = RemoteCalls::open(child_, vdso_);
    ASSERT_TRUE(calls);
    CallBatch batch = calls->batch();
    for (int i = 0; i < 100; ++i) batch.add(SYS_getppid);
    ASSERT_TRUE(calls->run(batch));
  }
  user_regs_struct after = *sys::get_registers(child_);
  EXPECT_EQ(std::memcmp(&before, &after, sizeof before), 0);
  EXPECT_EQ(*sys::get_signal_mask(child_), mask);
  EXPECT_EQ((*proc::parse_maps(*sys::read_text("/proc/" + std::to_string(child_) + "/maps"))).size(), mappings_);
  uint64_t count = *counter_;
  ASSERT_TRUE(sys::ptrace_detach(child_));
  for (int i = 0; i < 2000 && *counter_ == count; ++i) ::usleep(1000);
  EXPECT_GT(*counter_, count);
}

}  // namespace
}  // namespace godwit::freeze
