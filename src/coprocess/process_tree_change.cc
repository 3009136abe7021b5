// How a tree becomes that of the same program a moment later.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <ranges>

#include "coprocess/process_tree.h"
#include "sys/child_process.h"
#include "sys/ptrace.h"

namespace godwit::coprocess {

namespace {

using freeze::CallBatch;
using freeze::RemoteCalls;

constexpr pid_t kInit = 1;

using Processes = std::map<pid_t, const image::Process*>;

Processes by_pid(const image::LogicalHost& host) {
  Processes processes;
  for (const image::Process& process : host.processes()) processes[process.pid()] = &process;
  return processes;
}

bool ended_in(const Processes& now, pid_t pid) { return pid != kInit && !now.contains(pid); }

bool can_stay(const image::Process& before, const image::Process& now, const Processes& all_now) {
  bool left_to_init = now.parent_pid() == kInit && ended_in(all_now, before.parent_pid());
  bool same_family = now.parent_pid() == before.parent_pid() || left_to_init;
  if (!same_family || now.session() != before.session() || now.exit_signal() != before.exit_signal()) return false;
  if (before.zombie()) return now.zombie() && now.process_group() == before.process_group();
  return !now.zombie() || before.threads_size() == 1;
}

// Its parent can clone it, or an intermediate of its session's leader.
bool can_come(const image::Process& process, const Processes& before, const Processes& now) {
  pid_t session = process.session();
  if (process.parent_pid() == kInit) {
    bool leader_stays = before.contains(session) && now.contains(session) && !before.at(session)->zombie() &&
                        !now.at(session)->zombie();
    return session != process.pid() && leader_stays;
  }
  auto parent = now.find(process.parent_pid());
  if (parent == now.end()) return false;
  auto parent_before = before.find(process.parent_pid());
  if (parent_before == before.end()) return true;  // new like itself: made as create() does
  return !parent_before->second->zombie() && (session == process.pid() || session == parent->second->session());
}

}  // namespace

bool ProcessTree::can_become(const image::LogicalHost& before, const image::LogicalHost& now) {
  Processes then = by_pid(before);
  Processes later = by_pid(now);
  for (auto& [pid, process] : later) {
    auto known = then.find(pid);
    bool fits = known == then.end() ? can_come(*process, then, later) : can_stay(*known->second, *process, later);
    if (!fits) return false;
  }
  return true;
}

Result<void> ProcessTree::become(const image::LogicalHost& before, const image::LogicalHost& now) {
  host_ = &now;
  processes_.clear();
  children_.clear();
  used_.clear();
  TRY(index());
  TRY(remove_ended(before));
  Processes then = by_pid(before);
  for (const image::Process& process : now.processes()) {
    if (members_.contains(process.pid()) || then.contains(process.pid())) continue;
    TRY(process.parent_pid() == kInit ? make_orphans_of_session(process.session())
                                      : make_process(process.parent_pid(), process.pid()));
  }
  TRY(join_groups());
  TRY(end_zombies());
  for (auto& [pid, process] : processes_) {
    if (process->zombie()) continue;
    auto known = then.find(pid);
    if (known == then.end()) {
      TRY(make_threads(*process));
    } else {
      TRY(change_threads(*known->second, *process));
    }
  }
  return {};
}

// Who has ended is ended here; a parent that lives on waits for it, as it has done at the source.
Result<void> ProcessTree::remove_ended(const image::LogicalHost& before) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::vector<const image::Process*> ended;
  for (const image::Process& process : before.processes()) {
    if (!processes_.contains(process.pid())) ended.push_back(&process);
  }
  for (const image::Process* process : ended) {
    auto member = members_.find(process->pid());
    if (member != members_.end()) TRY(sys::send_signal(member->second.host_pid, SIGKILL));
  }
  for (const image::Process* process : ended | std::views::reverse) {  // children before their parents
    auto member = members_.find(process->pid());
    if (member != members_.end()) {
      // The main thread last: its end is told when all others have been taken.
      for (pid_t thread : std::views::reverse(member->second.host_threads)) {
        auto stop = sys::wait_for_stop(thread, deadline);
        bool gone = stop ? stop->kind == sys::Stop::Kind::ended : stop.error().kind == ErrorKind::gone;
        if (!gone) return error(ErrorKind::bug, "a process of a skeleton does not end");
      }
    }
    auto parent = members_.find(process->parent_pid());
    if (parent != members_.end() && processes_.contains(process->parent_pid())) {
      TRY(call_in(parent->second.host_pid, SYS_wait4, {static_cast<uint64_t>(process->pid()), 0, __WALL, 0},
                  "waiting for a process that has ended"));
    }
  }
  for (const image::Process* process : ended) {
    members_.erase(process->pid());
    session_now_.erase(process->pid());
    group_now_.erase(process->pid());
  }
  return {};
}

// Threads that are in `before` and not in `now` end; then those that are new are made.
Result<void> ProcessTree::change_threads(const image::Process& before, const image::Process& now) {
  const Member& member = members_.at(now.pid());
  std::map<pid_t, pid_t> kept;
  for (int i = 0; i < before.threads_size(); ++i) {
    pid_t tid = before.threads(i).tid();
    pid_t host_tid = member.host_threads.at(static_cast<size_t>(i));
    bool stays = std::ranges::any_of(now.threads(), [tid](const image::Thread& thread) { return thread.tid() == tid; });
    if (stays) {
      kept[tid] = host_tid;
      continue;
    }
    RemoteCalls calls = RemoteCalls::adopt(host_tid, region_);
    CallBatch leave = calls.batch();
    leave.add(SYS_exit, {0});
    auto ran = calls.run(leave);
    if (ran) return error(ErrorKind::bug, "a thread went on after its end");
    if (ran.error().kind != ErrorKind::gone) return ran;
  }
  return add_threads(now, std::move(kept));
}

}  // namespace godwit::coprocess
