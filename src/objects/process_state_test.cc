// State of a process and its thread, taken from one child and given to another that has none of it.
#include "objects/process_state.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <google/protobuf/util/message_differencer.h>

#include <functional>

#include "freeze/remote_calls.h"
#include "objects/thread_state.h"
#include "proc/maps.h"
#include "sys/ptrace.h"
#include "sys/text_file.h"

namespace godwit::objects {
namespace {

using google::protobuf::util::MessageDifferencer;

// A child that does `set_up`, then sleeps until it is killed; stopped by us.
class StoppedChild {
 public:
  explicit StoppedChild(const std::function<void()>& set_up) {
    auto* ready =
        static_cast<volatile int*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid_ = ::fork();
    if (pid_ == 0) {
      set_up();
      *ready = 1;
      for (;;) ::pause();
    }
    while (*ready == 0) ::sched_yield();
    EXPECT_TRUE(sys::ptrace_seize(pid_, PTRACE_O_TRACESYSGOOD));
    EXPECT_TRUE(sys::ptrace_interrupt(pid_));
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    EXPECT_TRUE(sys::wait_for_stop(pid_, deadline));
    std::vector<proc::MapEntry> maps = *proc::parse_maps(*sys::read_text("/proc/" + std::to_string(pid_) + "/maps"));
    for (const auto& entry : maps) {
      if (entry.name == "[vdso]") vdso_ = freeze::RemoteAddress{entry.start};
    }
  }
  ~StoppedChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  freeze::RemoteAddress vdso() const { return vdso_; }

 private:
  pid_t pid_;
  freeze::RemoteAddress vdso_{};
};

image::Process captured(const StoppedChild& child) {
  image::Process process;
  image::Thread& thread = *process.add_threads();
  EXPECT_TRUE(read_process_ahead(child.pid(), process));
  EXPECT_TRUE(read_thread_ahead(child.pid(), child.pid(), thread));
  EXPECT_TRUE(capture_thread(child.pid(), child.pid(), *sys::get_registers(child.pid()), nullptr, thread));
  EXPECT_TRUE(capture_process_pending(child.pid(), nullptr, process));
  auto calls = freeze::RemoteCalls::open(child.pid(), child.vdso());
  EXPECT_TRUE(calls);
  freeze::CallBatch batch = calls->batch();
  ThreadStateQuestions thread_questions;
  thread_questions.add(batch);
  ProcessStateQuestions process_questions;
  EXPECT_TRUE(process_questions.add(batch, child.pid()));
  EXPECT_TRUE(calls->run(batch));
  EXPECT_TRUE(thread_questions.answers(batch, thread));
  EXPECT_TRUE(process_questions.answers(batch, [](pid_t tid) { return tid; }, process));
  return process;
}

void restored(const StoppedChild& child, image::Process process, bool restore_timer_ids) {
  process.set_pid(child.pid());
  image::Thread& thread = *process.mutable_threads(0);
  thread.set_tid(child.pid());
  thread.clear_rseq();  // a forked child has its parent's already
  for (auto& timer : *process.mutable_posix_timers()) {
    if (timer.notify_tid() != 0) timer.set_notify_tid(child.pid());
  }
  image::Thread present;
  ASSERT_TRUE(read_thread_ahead(child.pid(), child.pid(), present));
  Owner owner{::getuid(), ::getgid(), {}};
  auto good = check_thread(thread, owner, present.credentials());
  ASSERT_TRUE(good) << good.error().message();
  ASSERT_TRUE(check_process(process));
  {
    auto calls = freeze::RemoteCalls::open(child.pid(), child.vdso());
    ASSERT_TRUE(calls);
    freeze::CallBatch batch = calls->batch();
    ASSERT_TRUE(add_thread_calls(batch, child.pid(), thread, present.credentials()));
    auto added = add_process_calls(batch, process, std::chrono::seconds(2), restore_timer_ids);
    ASSERT_TRUE(added) << added.error().message();
    ASSERT_TRUE(calls->run(batch));
    auto all = batch.all_succeeded("restoring");
    EXPECT_TRUE(all) << all.error().message();
  }
  ASSERT_TRUE(restore_thread(child.pid(), thread));
  image::Process inherited;
  ASSERT_TRUE(read_process_ahead(child.pid(), inherited));
  ASSERT_TRUE(restore_process(child.pid(), process, inherited, owner));
}

void handler(int) {}

void queue_to_self(int signal, int value) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = 4242;
  info.si_value.sival_int = value;
  ::syscall(SYS_rt_sigqueueinfo, ::getpid(), signal, &info);
  ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::gettid(), signal + 1, &info);
}

void make_timers() {
  for (int i = 0; i < 4; ++i) {
    sigevent event{};
    event.sigev_signo = SIGRTMIN + 5;
    event.sigev_notify = i == 3 ? SIGEV_THREAD_ID : i == 2 ? SIGEV_NONE : SIGEV_SIGNAL;
    event.sigev_value.sival_int = 70 + i;
    event._sigev_un._tid = ::gettid();
    int id = 0;
    ::syscall(SYS_timer_create, i == 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC, &event, &id);
    itimerspec setting{{i, 5}, {1000 + i, 0}};
    ::syscall(SYS_timer_settime, id, 0, &setting, nullptr);
  }
  ::syscall(SYS_timer_delete, 1);
}

void make_everything() {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigaddset(&action.sa_mask, SIGUSR2);
  ::sigaction(SIGUSR1, &action, nullptr);
  ::sigaction(SIGRTMIN + 5, &action, nullptr);
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
  sigset_t blocked;
  sigfillset(&blocked);
  sigdelset(&blocked, SIGTERM);
  ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
  ::kill(::getpid(), SIGUSR1);
  for (int i = 0; i < 3; ++i) queue_to_self(SIGRTMIN + 1, i);
  stack_t stack{};
  stack.ss_size = 65536;
  stack.ss_sp = ::mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ::sigaltstack(&stack, nullptr);
  itimerval real{{3, 0}, {500, 0}}, virtual_timer{{0, 0}, {600, 0}};
  ::setitimer(ITIMER_REAL, &real, nullptr);
  ::setitimer(ITIMER_VIRTUAL, &virtual_timer, nullptr);
  make_timers();
  ::umask(027);
  ::prctl(PR_SET_NAME, "odd (name) %");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_PDEATHSIG, SIGHUP);
  ::prctl(PR_SET_TIMERSLACK, 12345);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1);
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  ::setpriority(PRIO_PROCESS, 0, 3);
  rlimit limit{100, 200};
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Timers go on while the test runs: all that is asked is that they lost the time given as passed, and little more.
void expect_timers_run_on(image::Process& before, image::Process& after, int64_t passed_ms) {
  ASSERT_EQ(after.interval_timers().timers_size(), 2);
  ASSERT_EQ(before.interval_timers().timers_size(), 2);
  auto real = [](image::Process& p) { return p.mutable_interval_timers()->mutable_timers(0); };
  EXPECT_NEAR(real(before)->value_us() / 1000.0 - passed_ms, real(after)->value_us() / 1000.0, 1000);
  real(after)->set_value_us(real(before)->value_us());
  after.mutable_interval_timers()->mutable_timers(1)->set_value_us(before.interval_timers().timers(1).value_us());
  ASSERT_EQ(after.posix_timers_size(), before.posix_timers_size());
  for (int i = 0; i < after.posix_timers_size(); ++i) {
    EXPECT_NEAR(before.posix_timers(i).remaining_ns() / 1e6 - passed_ms, after.posix_timers(i).remaining_ns() / 1e6,
                1000);
    after.mutable_posix_timers(i)->set_remaining_ns(before.posix_timers(i).remaining_ns());
    if (after.posix_timers(i).notify_tid() != 0) {
      after.mutable_posix_timers(i)->set_notify_tid(before.posix_timers(i).notify_tid());
    }
  }
}

class RoundTrip : public ::testing::TestWithParam<bool> {};

TEST_P(RoundTrip, EverythingArrives) {
  if (GetParam() && !kernel_restores_timer_ids()) GTEST_SKIP() << "PR_TIMER_CREATE_RESTORE_IDS needs Linux 6.16";
  StoppedChild from(make_everything);
  StoppedChild to([] {});
  image::Process before = captured(from);
  EXPECT_GE(before.signal_actions().actions_size(), 3);  // sanitizers have some of their own
  EXPECT_EQ(before.pending_size(), 4);
  EXPECT_EQ(before.threads(0).pending_size(), 3);
  EXPECT_EQ(before.posix_timers_size(), 3);
  EXPECT_EQ(before.threads(0).parent_death_signal(), SIGHUP);
  EXPECT_EQ(before.threads(0).timer_slack_ns(), 12345u);
  EXPECT_EQ(before.threads(0).alternate_stack().size(), 65536u);
  EXPECT_EQ(before.threads(0).scheduling().nice(), 3);
  EXPECT_EQ(before.dumpable(), 0u);
  EXPECT_EQ(before.umask(), 027u);
  EXPECT_NE(before.threads(0).clear_child_tid(), 0u);

  restored(to, before, GetParam());
  image::Process after = captured(to);
  expect_timers_run_on(before, after, 2000);
  auto from_tid = before.threads(0).tid();
  after.mutable_threads(0)->set_tid(from_tid);
  after.mutable_threads(0)->set_general_registers(before.threads(0).general_registers());
  for (auto* pending : {after.mutable_pending(), after.mutable_threads(0)->mutable_pending()}) {
    for (auto& signal : *pending) {
      auto* info = reinterpret_cast<siginfo_t*>(signal.mutable_siginfo()->data());
      if (info->si_pid == to.pid()) info->si_pid = from.pid();
    }
  }
  MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  EXPECT_TRUE(differencer.Compare(before, after)) << report;
}

INSTANTIATE_TEST_SUITE_P(TimerIds, RoundTrip, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "ByPrctl" : "ByCountingUp"; });

// What `ps` and the kernel call a daemon that dropped its rights but for one.
void drop_rights() {
  const gid_t groups[] = {7, 9};
  ::prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0);
  ::prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NOROOT, 0, 0, 0);
  ::syscall(SYS_setgroups, 2, groups);
  ::syscall(SYS_setresgid, 101, 102, 103);
  ::syscall(SYS_setresuid, 201, 202, 203);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  uint32_t one = 1u << CAP_NET_BIND_SERVICE;
  __user_cap_data_struct sets[2] = {{one, one, one}, {0, 0, 0}};
  ::syscall(SYS_capset, &header, sets);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 1);
  ::prctl(PR_SET_PDEATHSIG, SIGUSR2);
}

TEST(Credentials, OfADaemonArrive) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  StoppedChild from(drop_rights);
  StoppedChild to([] {});
  image::Process before = captured(from);
  const image::Credentials& credentials = before.threads(0).credentials();
  EXPECT_EQ(credentials.suid(), 203u);
  EXPECT_EQ(credentials.cap_ambient(), uint64_t{1} << CAP_NET_BIND_SERVICE);
  EXPECT_EQ(credentials.securebits(), uint32_t{SECBIT_KEEP_CAPS | SECBIT_NOROOT});
  EXPECT_EQ(credentials.groups_size(), 2);
  restored(to, before, kernel_restores_timer_ids());
  image::Process after = captured(to);
  MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  EXPECT_TRUE(differencer.Compare(credentials, after.threads(0).credentials())) << report;
  EXPECT_EQ(after.dumpable(), 1u);
  EXPECT_EQ(after.threads(0).parent_death_signal(), SIGUSR2);
}

TEST(CheckProcess, HostileValuesAreRefused) {
  image::Process process;
  process.add_threads();
  EXPECT_TRUE(check_process(process));
  auto refused = [&](auto change) {
    image::Process bad = process;
    change(bad);
    return !check_process(bad);
  };
  EXPECT_TRUE(refused([](image::Process& p) { p.set_umask(01000); }));
  EXPECT_TRUE(refused([](image::Process& p) { p.set_oom_score_adj(-1001); }));
  EXPECT_TRUE(refused([](image::Process& p) { p.set_core_filter(1 << 12); }));
  EXPECT_TRUE(refused([](image::Process& p) { p.clear_threads(); }));
  EXPECT_TRUE(refused([](image::Process& p) {
    for (int i = 0; i < 1001; ++i) p.add_pending();
  }));
}

}  // namespace
}  // namespace godwit::objects
