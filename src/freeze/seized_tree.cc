#include "freeze/seized_tree.h"

#include <sys/ptrace.h>

#include <algorithm>
#include <set>
#include <thread>

#include "freeze/frozen_cgroup.h"
#include "freeze/replant.h"
#include "freeze/system_call_restart.h"
#include "proc/maps.h"
#include "sys/text_file.h"

namespace godwit::freeze {

namespace {

bool in_uninterruptible_sleep(pid_t pid, pid_t tid) {
  auto stat = sys::read_text("/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + "/stat");
  if (!stat) return false;
  size_t after_name = stat->rfind(") ");
  return after_name != std::string::npos && after_name + 2 < stat->size() && (*stat)[after_name + 2] == 'D';
}

// Takes one thread over; false when it ended before we could.
Result<bool> take_over(pid_t host_tid) {
  auto seized = sys::ptrace_seize(host_tid, PTRACE_O_TRACESYSGOOD);
  if (!seized) {
    if (seized.error().kind == ErrorKind::gone) return false;
    if (seized.error().kind == ErrorKind::denied) {
      return error(ErrorKind::denied, "thread " + std::to_string(host_tid) + " is being traced by another program");
    }
    return std::unexpected(std::move(seized.error()));
  }
  TRY(sys::ptrace_interrupt(host_tid));
  return true;
}

// Waits for the stop that the interrupt causes. A signal that arrives at the same moment is put back by hand: its
// delivery stop comes first, and it is delivered again when the thread goes on.
Result<bool> await_stop(const SeizedProcess& process, SeizedThread& thread, sys::Deadline deadline) {
  for (int passed = 0; passed < 64; ++passed) {
    auto stop = TRY(sys::try_wait(thread.host_tid));
    if (!stop) {
      thread.delayed = thread.delayed || in_uninterruptible_sleep(process.listed.host_pid, thread.host_tid);
      stop = TRY(sys::wait_for_stop(thread.host_tid, deadline, std::chrono::microseconds(500)));
    }
    switch (stop->kind) {
      case sys::Stop::Kind::ended: return false;
      case sys::Stop::Kind::interrupt: return true;
      case sys::Stop::Kind::group_stop: thread.group_stopped = true; return true;
      case sys::Stop::Kind::signal: TRY(sys::ptrace_continue(thread.host_tid, stop->signal)); break;
      default: TRY(sys::ptrace_continue(thread.host_tid)); break;
    }
  }
  return error(ErrorKind::retry, "thread " + std::to_string(thread.host_tid) + " keeps receiving signals");
}

Result<RemoteAddress> find_vdso(pid_t host_pid) {
  std::string text = TRY(sys::read_text("/proc/" + std::to_string(host_pid) + "/maps"));
  for (const proc::MapEntry& entry : TRY(proc::parse_maps(text))) {
    if (entry.name == "[vdso]") return RemoteAddress{entry.start};
  }
  return error(ErrorKind::unsupported, "pid " + std::to_string(host_pid) + " has no vDSO");
}

}  // namespace

// A parent in vfork(2) cannot be stopped before its child has called execve, and a stopped child never does: then
// everything is let go and tried again a moment later.
Result<SeizedTree> SeizedTree::seize(const std::string& cgroup, pid_t init_host_pid, sys::Deadline deadline) {
  constexpr std::chrono::milliseconds kOneTry(100);
  constexpr std::chrono::milliseconds kBetween(2);
  for (;;) {
    auto now = std::chrono::steady_clock::now();
    auto tree = try_seize(cgroup, init_host_pid, std::min(deadline, now + kOneTry));
    bool again = !tree && tree.error().kind == ErrorKind::exhausted && now + kOneTry < deadline;
    if (!again) return tree;
    std::this_thread::sleep_for(kBetween);
  }
}

Result<SeizedTree> SeizedTree::try_seize(const std::string& cgroup, pid_t init_host_pid, sys::Deadline deadline) {
  SeizedTree tree;
  FrozenCgroup frozen = TRY(FrozenCgroup::freeze(cgroup));
  std::set<pid_t> seen;
  bool found_new = true;
  while (found_new) {
    found_new = false;
    for (ListedProcess& listed : TRY(list_processes(init_host_pid))) {
      auto known = std::find_if(tree.processes_.begin(), tree.processes_.end(),
                                [&](const SeizedProcess& p) { return p.listed.host_pid == listed.host_pid; });
      if (known == tree.processes_.end()) {
        tree.processes_.push_back({std::move(listed), {}, {}});
        known = tree.processes_.end() - 1;
      } else {
        known->listed = std::move(listed);
      }
      for (pid_t tid : known->listed.host_threads) {
        if (!seen.insert(tid).second) continue;
        if (!TRY(take_over(tid))) continue;
        known->threads.push_back({tid, 0, false, false, {}});
        found_new = true;
      }
    }
    for (SeizedProcess& process : tree.processes_) {
      std::vector<SeizedThread> alive;
      for (SeizedThread& thread : process.threads) {
        if (thread.tid != 0 || TRY(await_stop(process, thread, deadline))) alive.push_back(thread);
        if (!alive.empty() && alive.back().tid == 0) {
          alive.back().tid = TRY(inner_tid(process.listed.host_pid, alive.back().host_tid));
        }
      }
      process.threads = std::move(alive);
    }
  }
  // All threads are stopped.
  auto ended = [](const SeizedProcess& p) { return p.threads.empty() && !p.listed.zombie; };
  std::erase_if(tree.processes_, ended);
  for (SeizedProcess& process : tree.processes_) {
    for (SeizedThread& thread : process.threads) {
      thread.registers = TRY(sys::get_registers(thread.host_tid));
      thread.call = classify_call(thread.registers, nullptr);
    }
    if (!process.listed.zombie) process.vdso = TRY(find_vdso(process.listed.host_pid));
  }
  return tree;
}

Result<void> SeizedTree::make_resumable(SeizedThread& thread) {
  if (thread.resumable) return {};
  thread.resumable = true;
  return resume_in_progress(thread.host_tid, Side::source, RemoteAddress{}, thread.registers, thread.call, {});
}

SeizedTree::~SeizedTree() { let_go(); }

void SeizedTree::let_go() {
  for (SeizedProcess& process : processes_) {
    for (SeizedThread& thread : process.threads) {
      (void)make_resumable(thread);  // gone ones need nothing
      (void)sys::ptrace_detach(thread.host_tid);
    }
  }
  processes_.clear();
}

}  // namespace godwit::freeze
