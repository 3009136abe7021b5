#include "freeze/seized_tree.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <thread>

#include "freeze/frozen_cgroup.h"
#include "freeze/hurry.h"
#include "freeze/replant.h"
#include "freeze/system_call_restart.h"
#include "proc/maps.h"
#include "sys/process_memory.h"
#include "sys/text_file.h"

namespace godwit::freeze {

namespace {

std::string task_file(pid_t pid, pid_t tid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + "/" + name;
}

bool in_uninterruptible_sleep(pid_t pid, pid_t tid) {
  auto stat = sys::read_text(task_file(pid, tid, "stat"));
  if (!stat) return false;
  size_t after_name = stat->rfind(") ");
  return after_name != std::string::npos && after_name + 2 < stat->size() && (*stat)[after_name + 2] == 'D';
}

// A parent that sleeps in the call which made its child waits for the child's execve or end: vfork(2). Source: Linux
// kernel/fork.c, wait_for_vfork_done.
bool waits_for_execve(pid_t pid, pid_t tid) {
  auto text = sys::read_text(task_file(pid, tid, "syscall"));  // proc_pid_syscall(5): the number comes first
  if (!text) return false;
  std::string number = text->substr(0, text->find(' '));
  return number == std::to_string(SYS_vfork) || number == std::to_string(SYS_clone) ||
         number == std::to_string(SYS_clone3);
}

bool is_traced(pid_t host_tid) {
  auto text = sys::read_text("/proc/" + std::to_string(host_tid) + "/status");
  return text && text->find("\nTracerPid:\t0\n") == std::string::npos;
}

// Takes one thread over; false when it ended before we could, which the kernel also calls EPERM (kernel/ptrace.c,
// ptrace_attach).
Result<bool> take_over(pid_t host_tid) {
  auto seized = sys::ptrace_seize(host_tid, PTRACE_O_TRACESYSGOOD);
  if (!seized) {
    if (seized.error().kind == ErrorKind::gone) return false;
    if (seized.error().kind == ErrorKind::denied) {
      if (!is_traced(host_tid)) return false;
      return error(ErrorKind::denied, "thread " + std::to_string(host_tid) + " is being traced by another program");
    }
    return std::unexpected(std::move(seized.error()));
  }
  auto interrupted = sys::ptrace_interrupt(host_tid);
  if (!interrupted && interrupted.error().kind == ErrorKind::gone) return false;
  TRY(std::move(interrupted));
  return true;
}

// A thread that does not stop at once has no processor, and neither have most others that have not stopped yet: all of
// them are hurried, while the scope lasts.
class Rush {
 public:
  explicit Rush(const SeizedProcess& process) {
    for (const SeizedThread& thread : process.threads) {
      if (!thread.stopped) waiting_.push_back(thread.host_tid);
    }
  }
  // A thread runs for some microseconds before it stands still, many of them one after the other, and we spin on one of
  // the processors they need.
  void give_way() const {
    constexpr size_t kMany = 16;
    constexpr std::chrono::microseconds kEach(4);
    if (waiting_.size() >= kMany) std::this_thread::sleep_for(kEach * waiting_.size());
  }
  void begin() {
    for (pid_t tid : std::exchange(waiting_, {})) hurried_.push_back(Hurry::along(tid));
  }

 private:
  std::vector<pid_t> waiting_;
  std::vector<Hurry> hurried_;
};

Result<sys::Stop> wait_or_hurry(pid_t host_tid, bool asleep, Rush& rush, sys::Deadline deadline) {
  constexpr std::chrono::microseconds kSpin(500);
  constexpr std::chrono::microseconds kAtOnce(100);
  if (asleep) return sys::wait_for_stop(host_tid, deadline, kSpin);
  auto stop = sys::wait_for_stop(host_tid, std::min(deadline, std::chrono::steady_clock::now() + kAtOnce), kAtOnce);
  if (stop || stop.error().kind != ErrorKind::exhausted) return stop;
  rush.begin();
  return sys::wait_for_stop(host_tid, deadline, kSpin);
}

// A thread that was let go a moment ago, and has not come yet to go on with its wait by restart_syscall(2): what that
// call goes on with is known only to this kernel, so it is told as the interrupted call that it was. Source: Linux
// arch/x86/kernel/signal.c, arch_do_signal_or_restart.
void undo_restart(pid_t host_tid, user_regs_struct& registers) {
  if (registers.rax != SYS_restart_syscall) return;
  constexpr std::array kSystemCall{std::byte{0x0f}, std::byte{0x05}};
  std::array<std::byte, 2> next{};
  if (!sys::read_memory_at(host_tid, registers.rip, next) || next != kSystemCall) return;
  registers.rip += kSystemCall.size();
  registers.orig_rax = SYS_restart_syscall;
  registers.rax = static_cast<uint64_t>(kRestartBlock);
}

// Waits for the stop that the interrupt causes. A signal that arrives at the same moment is put back by hand: its
// delivery stop comes first, and it is delivered again when the thread goes on. ErrorKind::retry: not before a child,
// which is stopped too, has called execve.
Result<bool> await_stop(pid_t host_pid, SeizedThread& thread, Rush& rush, sys::Deadline deadline) {
  auto note = [&thread](bool group_stopped) -> Result<bool> {
    thread.registers = TRY(sys::get_registers(thread.host_tid));
    undo_restart(thread.host_tid, thread.registers);
    thread.call = classify_call(thread.registers, nullptr);
    thread.group_stopped = group_stopped;
    thread.stopped = true;
    return true;
  };
  for (int passed = 0; passed < 64; ++passed) {
    auto stop = TRY(sys::try_wait(thread.host_tid));
    if (!stop) {
      bool asleep = in_uninterruptible_sleep(host_pid, thread.host_tid);
      thread.delayed = thread.delayed || asleep;
      if (asleep && waits_for_execve(host_pid, thread.host_tid)) {
        return error(ErrorKind::retry, "thread " + std::to_string(thread.host_tid) + " is in vfork");
      }
      stop = TRY(wait_or_hurry(thread.host_tid, asleep, rush, deadline));
    }
    switch (stop->kind) {
      case sys::Stop::Kind::ended: return false;
      case sys::Stop::Kind::interrupt: return note(false);
      case sys::Stop::Kind::group_stop: return note(true);
      case sys::Stop::Kind::signal: TRY(sys::ptrace_continue(thread.host_tid, stop->signal)); break;
      default: TRY(sys::ptrace_continue(thread.host_tid)); break;
    }
  }
  return error(ErrorKind::exhausted, "thread " + std::to_string(thread.host_tid) + " keeps receiving signals");
}

// Waits for all threads of one process; those that end instead are forgotten.
Result<void> await_threads(SeizedProcess& process, sys::Deadline deadline) {
  Rush rush(process);
  rush.give_way();
  for (size_t i = 0; i < process.threads.size();) {
    SeizedThread& thread = process.threads[i];
    if (!thread.stopped && !TRY(await_stop(process.listed.host_pid, thread, rush, deadline))) {
      process.threads.erase(process.threads.begin() + static_cast<ptrdiff_t>(i));
      continue;
    }
    ++i;
  }
  return {};
}

}  // namespace

Result<RemoteAddress> find_vdso(pid_t host_pid) {
  std::string text = TRY(sys::read_text("/proc/" + std::to_string(host_pid) + "/maps"));
  for (const proc::MapEntry& entry : TRY(proc::parse_maps(text))) {
    if (entry.name == "[vdso]") return RemoteAddress{entry.start};
  }
  return error(ErrorKind::unsupported, "pid " + std::to_string(host_pid) + " has no vDSO");
}

// A parent in vfork(2) cannot be stopped before its child has called execve, and a stopped child never does: then
// everything is let go and tried again a moment later.
Result<SeizedTree> SeizedTree::seize(const std::string& cgroup, pid_t init_host_pid, const NoneBorn& none_born,
                                     sys::Deadline deadline) {
  constexpr std::chrono::milliseconds kOneTry(100);
  constexpr std::chrono::milliseconds kBetween(2);
  for (;;) {
    auto now = std::chrono::steady_clock::now();
    auto tree = try_seize(cgroup, init_host_pid, none_born, std::min(deadline, now + kOneTry));
    bool in_vain = !tree && (tree.error().kind == ErrorKind::exhausted || tree.error().kind == ErrorKind::retry);
    bool again = in_vain && now + kOneTry < deadline;
    if (!again) return tree;
    std::this_thread::sleep_for(kBetween);
  }
}

Result<SeizedTree> SeizedTree::try_seize(const std::string& cgroup, pid_t init_host_pid, const NoneBorn& none_born,
                                         sys::Deadline deadline) {
  SeizedTree tree;
  std::optional<FrozenCgroup> frozen;
  std::set<pid_t> seen;
  for (bool changed = true; changed;) {
    auto listed = TRY(list_processes(init_host_pid));
    if (seen.empty()) tree.since_ = std::chrono::steady_clock::now();
    changed = TRY(tree.take_over_new(std::move(listed), seen));
    // Frozen first, every thread would be woken twice.
    if (!frozen) frozen.emplace(TRY(FrozenCgroup::freeze(cgroup)));
    for (SeizedProcess& process : tree.processes_) {
      size_t before = process.threads.size();
      TRY(await_threads(process, deadline));
      changed = changed || process.threads.size() != before;  // what ended leaves something to be seen, or nothing
    }
    if (changed && tree.is_all_of(cgroup, seen) && none_born()) break;
  }
  // All threads are stopped.
  auto ended = [](const SeizedProcess& p) { return p.threads.empty() && !p.listed.zombie; };
  std::erase_if(tree.processes_, ended);
  return tree;
}

// Whether what lives is what was seen, and nothing of that has ended. (What was born meanwhile and has ended is a
// zombie in no cgroup.) One file for all threads, where listing them again takes three for each.
bool SeizedTree::is_all_of(const std::string& cgroup, const std::set<pid_t>& seen) const {
  auto threads = list_threads_of_cgroup(cgroup);
  bool dead = std::ranges::any_of(processes_, [](const SeizedProcess& process) { return process.listed.zombie; });
  return threads && !dead && std::ranges::equal(*threads, seen);
}

// True when there were threads not seen before. Processes that are listed no longer are forgotten.
Result<bool> SeizedTree::take_over_new(std::vector<ListedProcess> listed, std::set<pid_t>& seen) {
  auto same = [](const ListedProcess& a, const ListedProcess& b) { return a.host_pid == b.host_pid; };
  std::erase_if(processes_, [&](const SeizedProcess& known) {
    return std::none_of(listed.begin(), listed.end(), [&](auto& each) { return same(each, known.listed); });
  });
  bool found_new = false;
  for (ListedProcess& each : listed) {
    auto known = std::find_if(processes_.begin(), processes_.end(), [&](auto& p) { return same(p.listed, each); });
    if (known == processes_.end()) {
      processes_.emplace_back();
      known = processes_.end() - 1;
    }
    known->listed = std::move(each);
    for (pid_t tid : known->listed.host_threads) {
      if (!seen.insert(tid).second) continue;
      found_new = true;
      if (TRY(take_over(tid))) known->threads.emplace_back().host_tid = tid;
    }
  }
  return found_new;
}

Result<void> SeizedTree::make_resumable(SeizedThread& thread) {
  if (thread.resumable) return {};
  thread.resumable = true;
  return resume_in_progress(thread.host_tid, Side::source, RemoteAddress{}, thread.registers, thread.call, {});
}

Result<void> SeizedTree::make_resumable() {
  for (SeizedProcess& process : processes_) {
    for (SeizedThread& thread : process.threads) TRY(make_resumable(thread));
  }
  return {};
}

SeizedTree::~SeizedTree() { let_go(); }

// Only what is stopped can be let go; a parent in vfork stops when its child runs again.
void SeizedTree::let_go() {
  constexpr std::chrono::seconds kPatience(2);
  constexpr std::chrono::microseconds kBetween(50);
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  auto released = [](const SeizedProcess& process, Rush& rush, SeizedThread& thread) {
    if (!thread.stopped) {
      auto stopped = await_stop(process.listed.host_pid, thread, rush, std::chrono::steady_clock::now());
      if (!stopped) return stopped.error().kind != ErrorKind::retry && stopped.error().kind != ErrorKind::exhausted;
      if (!*stopped) return true;
    }
    (void)make_resumable(thread);  // gone ones need nothing
    (void)sys::ptrace_detach(thread.host_tid);
    return true;
  };
  for (;;) {
    bool left = false;
    for (SeizedProcess& process : processes_) {
      Rush rush(process);
      std::erase_if(process.threads, [&](SeizedThread& thread) { return released(process, rush, thread); });
      left = left || !process.threads.empty();
    }
    if (!left || std::chrono::steady_clock::now() > deadline) break;
    std::this_thread::sleep_for(kBetween);
  }
  processes_.clear();
}

}  // namespace godwit::freeze
