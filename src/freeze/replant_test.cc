// Threads stopped in the middle of timed waits go on, in a copy of their process or where they were, and see the
// results and the times that they would have seen without the stop.
#include "freeze/replant.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "freeze/kernel_tasks.h"
#include "freeze/remote_calls.h"
#include "freeze/system_call_restart.h"
#include "proc/maps.h"
#include "sys/ptrace.h"
#include "sys/text_file.h"

namespace godwit::freeze {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr int kWaitMs = 960;  // forking and copying take as long as the waits below
#else
constexpr int kWaitMs = 240;
#endif
constexpr int64_t kWaitNs = kWaitMs * 1'000'000LL;
// Beyond the wait, on a busy machine. A wait that began again with its full time would be later by a quarter at least.
constexpr int64_t kLatestNs = kWaitNs / 8;

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

timespec wait_time() { return {kWaitMs / 1000, kWaitMs % 1000 * 1'000'000L}; }

struct Outcome {
  volatile int started, done;
  volatile int all_started;  // in the first one: of all
  int64_t result;
  int error;
  int64_t began_ns, took_ns;
  int64_t rest_ns;  // nanosleep: what the kernel says is left
};
Outcome* outcomes = nullptr;

struct Wait {
  const char* name;
  long (*call)();
  long result;
  int error;
};

int quiet_pipe() {
  int ends[2];
  if (::pipe(ends) < 0) ::_exit(3);
  return ends[0];
}

long in_nanosleep() {
  timespec time = wait_time();
  timespec rest{};
  long result = ::syscall(SYS_nanosleep, &time, &rest);
  outcomes[0].rest_ns = rest.tv_sec * 1'000'000'000LL + rest.tv_nsec;
  return result;
}
long in_clock_nanosleep() {
  timespec time = wait_time();
  return ::syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &time, nullptr);
}
long in_clock_nanosleep_until() {
  timespec until{};
  int64_t end = now_ns() + kWaitNs;
  until = {end / 1'000'000'000, end % 1'000'000'000};
  return ::syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}
long in_poll() {
  pollfd watched{quiet_pipe(), POLLIN, 0};
  return ::syscall(SYS_poll, &watched, 1, kWaitMs);
}
long in_ppoll() {
  pollfd watched{quiet_pipe(), POLLIN, 0};
  timespec time = wait_time();
  return ::syscall(SYS_ppoll, &watched, 1, &time, nullptr, 0);
}
long in_select() {
  fd_set watched;
  FD_ZERO(&watched);
  int fd = quiet_pipe();
  FD_SET(fd, &watched);
  timeval time{kWaitMs / 1000, kWaitMs % 1000 * 1000L};
  return ::syscall(SYS_select, fd + 1, &watched, nullptr, nullptr, &time);
}
long in_futex() {
  uint32_t word = 7;
  timespec time = wait_time();
  return ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 7, &time, nullptr, 0);
}
long in_futex_until() {
  uint32_t word = 7;
  int64_t end = now_ns() + kWaitNs;
  timespec until{end / 1'000'000'000, end % 1'000'000'000};
  return ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 7, &until, nullptr, 5);
}
long in_epoll_wait() {
  epoll_event event;
  return ::syscall(SYS_epoll_wait, ::epoll_create1(0), &event, 1, kWaitMs);
}
long in_epoll_pwait2() {
  epoll_event event;
  timespec time = wait_time();
  return ::syscall(SYS_epoll_pwait2, ::epoll_create1(0), &event, 1, &time, nullptr, 0);
}
long in_sigtimedwait() {
  uint64_t set = uint64_t{1} << (SIGUSR1 - 1);
  timespec time = wait_time();
  return ::syscall(SYS_rt_sigtimedwait, &set, nullptr, &time, sizeof set);
}
long in_semtimedop() {
  int set = ::semget(IPC_PRIVATE, 1, 0600);
  sembuf take{0, -1, 0};
  timespec time = wait_time();
  long result = ::syscall(SYS_semtimedop, set, &take, 1, &time);
  int error = errno;
  ::semctl(set, 0, IPC_RMID);
  errno = error;
  return result;
}
const Wait kWaits[] = {
    {"nanosleep", in_nanosleep, 0, 0},
    {"clock_nanosleep", in_clock_nanosleep, 0, 0},
    {"clock_nanosleep until", in_clock_nanosleep_until, 0, 0},
    {"poll", in_poll, 0, 0},
    {"ppoll", in_ppoll, 0, 0},
    {"select", in_select, 0, 0},
    {"futex", in_futex, -1, ETIMEDOUT},
    {"futex until", in_futex_until, -1, ETIMEDOUT},
    {"epoll_wait", in_epoll_wait, 0, 0},
    {"epoll_pwait2", in_epoll_pwait2, 0, 0},
    {"rt_sigtimedwait", in_sigtimedwait, -1, EAGAIN},
    {"semtimedop", in_semtimedop, -1, EAGAIN},
};
constexpr size_t kCount = std::size(kWaits);

// One process for each kind of wait, all waiting at the same time.
class Waiters : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loaded = KernelTasks::load();
    if (!loaded) GTEST_SKIP() << "no BPF: " << loaded.error().message();
    tasks_.emplace(std::move(*loaded));
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    outcomes = static_cast<Outcome*>(
        ::mmap(nullptr, sizeof(Outcome) * kCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < kCount; ++i) pids_.push_back(start(i));
    for (size_t i = 0; i < kCount; ++i) {
      while (outcomes[i].started == 0) ::usleep(100);
    }
    outcomes[0].all_started = 1;
    ::usleep(kWaitMs * 1000 / 4);
  }
  void TearDown() override {
    for (pid_t pid : pids_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, __WALL);
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  }

  pid_t start(size_t i) {
    pid_t pid = ::fork();
    if (pid != 0) return pid;
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR2, &action, nullptr);
    Outcome& outcome = outcomes[i];
    outcome.started = 1;
    while (outcomes[0].all_started == 0) ::usleep(100);  // forking may take longer than a wait: with sanitizers
    outcome.began_ns = now_ns();
    errno = 0;
    outcome.result = kWaits[i].call();
    outcome.error = errno;
    outcome.took_ns = now_ns() - outcome.began_ns;
    outcome.done = 1;
    ::_exit(0);
  }

  static void await_stop(pid_t pid) {
    auto stop = sys::wait_for_stop(pid, std::chrono::steady_clock::now() + std::chrono::seconds(5));
    ASSERT_TRUE(stop) << stop.error().message();
    ASSERT_EQ(stop->kind, sys::Stop::Kind::interrupt);
  }

  // On a machine so busy that there is nothing left to interrupt.
  bool nearly_over() const { return now_ns() - outcomes[0].began_ns > kWaitNs - kLatestNs; }

  // Stops all; afterwards registers_ and calls_ say where they were.
  void stop_all() {
    TaskRecords before = *tasks_->read(pids_);
    for (pid_t pid : pids_) {
      ASSERT_TRUE(sys::ptrace_seize(pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK));
      ASSERT_TRUE(sys::ptrace_interrupt(pid));
      await_stop(pid);
    }
    TaskRecords now = *tasks_->read(pids_);
    captured_at_ = now_ns();
    registers_.clear();
    calls_.clear();
    for (pid_t pid : pids_) {
      registers_.push_back(*sys::get_registers(pid));
      calls_.push_back(classify(registers_.back(), before.find(pid), now.find(pid), &*tasks_));
      EXPECT_FALSE(calls_.back().full_wait()) << kWaits[calls_.size() - 1].name;
      EXPECT_NE(calls_.back().treatment(), image::SystemCallInProgress::GIVE_UP);
    }
  }

  // Each process is replaced by a copy that has its memory and nothing else of it.
  void copy_all() {
    for (pid_t& pid : pids_) {
      pid_t copy = 0;
      {
        auto calls = RemoteCalls::open(pid, vdso());
        ASSERT_TRUE(calls) << calls.error().message();
        CallBatch batch = calls->batch();
        size_t forked = batch.add(SYS_clone, {CLONE_PARENT | SIGCHLD, 0, 0, 0, 0});
        ASSERT_TRUE(calls->run(batch));
        copy = static_cast<pid_t>(batch.result(forked));
        ASSERT_GT(copy, 0) << std::strerror(-copy);
        await_stop(copy);
      }
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, __WALL);
      pid = copy;
      ASSERT_TRUE(sys::set_signal_mask(pid, 0));
    }
  }

  static RemoteAddress vdso() {
    std::vector<proc::MapEntry> maps = *proc::parse_maps(*sys::read_text("/proc/self/maps"));
    for (const proc::MapEntry& entry : maps) {
      if (entry.name == "[vdso]") return RemoteAddress{entry.start};
    }
    return {};
  }

  void resume_all(Side side) {
    for (size_t i = 0; i < kCount; ++i) {
      std::chrono::nanoseconds elapsed(now_ns() - captured_at_);
      auto resumed = resume_in_progress(pids_[i], side, vdso(), registers_[i], calls_[i], elapsed);
      ASSERT_TRUE(resumed) << kWaits[i].name << ": " << resumed.error().message();
      ASSERT_TRUE(sys::ptrace_detach(pids_[i]));
    }
    resumed_at_ = now_ns();
  }

  void await_all_done() {
    for (int i = 0; i < kWaitMs + 2000; ++i) {
      bool all = true;
      for (size_t k = 0; k < kCount; ++k) all = all && outcomes[k].done != 0;
      if (all) return;
      ::usleep(1000);
    }
  }

  void expect_right_outcomes() {
    await_all_done();
    for (size_t i = 0; i < kCount; ++i) {
      const Outcome& outcome = outcomes[i];
      SCOPED_TRACE(kWaits[i].name);
      EXPECT_EQ(outcome.done, 1);
      EXPECT_EQ(outcome.result, kWaits[i].result);
      EXPECT_EQ(outcome.result < 0 ? outcome.error : 0, kWaits[i].error) << std::strerror(outcome.error);
      EXPECT_GE(outcome.took_ns, kWaitNs - 1'000'000);
      EXPECT_LE(outcome.took_ns, std::max(kWaitNs, resumed_at_ - outcome.began_ns) + kLatestNs);
      if (::getenv("GODWIT_SHOW_WAITS") != nullptr) {
        std::printf("%-24s %s after %8.3f ms\n", kWaits[i].name, std::strerror(outcome.error), outcome.took_ns / 1e6);
      }
    }
  }

  std::optional<KernelTasks> tasks_;
  std::vector<pid_t> pids_;
  std::vector<user_regs_struct> registers_;
  std::vector<image::SystemCallInProgress> calls_;
  int64_t captured_at_ = 0, resumed_at_ = 0;
};

TEST_F(Waiters, RollbackAtTheSource) {
  stop_all();
  ::usleep(kWaitMs * 1000 / 8);
  resume_all(Side::source);
  expect_right_outcomes();
}

TEST_F(Waiters, MoveIntoACopy) {
  stop_all();
  copy_all();
  ::usleep(kWaitMs * 1000 / 8);
  resume_all(Side::destination);
  expect_right_outcomes();
}

TEST_F(Waiters, RollbackThenMoveTwice) {
  stop_all();
  resume_all(Side::source);
  ::usleep(kWaitMs * 1000 / 8);
  if (nearly_over()) GTEST_SKIP() << "this machine is too busy: the waits are over";
  stop_all();
  copy_all();
  resume_all(Side::destination);
  ::usleep(kWaitMs * 1000 / 8);
  if (nearly_over()) GTEST_SKIP() << "this machine is too busy: the waits are over";
  stop_all();
  copy_all();
  resume_all(Side::destination);
  expect_right_outcomes();
}

TEST_F(Waiters, ASignalAfterTheMoveInterruptsAsEver) {
  stop_all();
  copy_all();
  resume_all(Side::destination);
  ::usleep(kWaitMs * 1000 / 4);
  for (pid_t pid : pids_) ::kill(pid, SIGUSR2);
  if (now_ns() - outcomes[0].began_ns > kWaitNs - kLatestNs)
    GTEST_SKIP() << "this machine is too busy: the waits are over";
  await_all_done();
  for (size_t i = 0; i < kCount; ++i) {
    SCOPED_TRACE(kWaits[i].name);
    EXPECT_EQ(outcomes[i].result, -1);
    EXPECT_EQ(outcomes[i].error, EINTR);
    EXPECT_LT(outcomes[i].took_ns, kWaitNs);
  }
  EXPECT_NEAR(outcomes[0].rest_ns + outcomes[0].took_ns, kWaitNs, kLatestNs);
}

TEST_F(Waiters, TimeRunsOutWhileFrozen) {
  stop_all();
  copy_all();
  ::usleep(kWaitMs * 1000);
  resume_all(Side::destination);
  await_all_done();
  EXPECT_LE(now_ns() - resumed_at_, kWaitNs / 2);
  for (size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(outcomes[i].result, kWaits[i].result) << kWaits[i].name;
    EXPECT_EQ(outcomes[i].result < 0 ? outcomes[i].error : 0, kWaits[i].error) << kWaits[i].name;
  }
}

}  // namespace
}  // namespace godwit::freeze
