#include "coprocess/process_tree.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

#include "coprocess/find_in_namespace.h"
#include "sys/ptrace.h"

namespace godwit::coprocess {

namespace {

using freeze::CallBatch;
using freeze::RemoteAddress;
using freeze::RemoteCalls;

constexpr pid_t kInit = 1;
constexpr int kMostProcesses = 32768;
constexpr size_t kRoomForOneClone = 512;

sys::Deadline patience() { return std::chrono::steady_clock::now() + std::chrono::seconds(10); }

// A cloned child begins in a stop of its own, before it runs anything.
Result<void> await_birth(pid_t host_tid) {
  sys::Stop stop = TRY(sys::wait_for_stop(host_tid, patience(), std::chrono::microseconds(200)));
  if (stop.kind == sys::Stop::Kind::interrupt) return {};
  return error(ErrorKind::bug, "a new thread did not begin stopped but with " +
                                   std::to_string(static_cast<int>(stop.kind)) + "/" + std::to_string(stop.signal));
}

size_t add_clone(CallBatch& batch, pid_t tid, uint64_t flags, int exit_signal, uint64_t cgroup) {
  RemoteAddress wanted = batch.put_value(tid);
  clone_args arguments{};
  arguments.flags = flags | CLONE_PTRACE;
  arguments.exit_signal = static_cast<__u64>(exit_signal);
  arguments.set_tid = value(wanted);
  arguments.set_tid_size = 1;
  arguments.cgroup = cgroup;
  return batch.add(SYS_clone3, {value(batch.put_value(arguments)), sizeof arguments});
}

int highest_descriptor_to_be(const image::Process& process) {
  constexpr int kAnyway = 250;    // a table has 256 entries then
  constexpr int kAboveThem = 8;   // that DescriptorRestore::install() needs for a moment
  constexpr int kMost = 1 << 20;  // what it takes at all
  int highest = 0;
  for (const image::Descriptor& each : process.descriptors()) highest = std::max(highest, each.number());
  return std::max(kAnyway, std::min(highest, kMost) + std::min(highest, kMost) / 4 + kAboveThem);
}

}  // namespace

ProcessTree::ProcessTree(const InitProcess& init, freeze::CodeRegion region, const image::LogicalHost& host)
    : init_(init), region_(region), host_(&host) {}

Result<ProcessTree> ProcessTree::create(const InitProcess& init, freeze::CodeRegion region,
                                        const image::LogicalHost& host) {
  ProcessTree tree(init, region, host);
  TRY(tree.index());
  TRY(tree.make_all());
  TRY(tree.join_groups());
  TRY(tree.end_zombies());
  for (auto& [pid, process] : tree.processes_) {
    if (!process->zombie()) TRY(tree.make_threads(*process));
  }
  return tree;
}

// Registers every number that is taken and checks the shape of what came from the peer.
Result<void> ProcessTree::index() {
  if (host_->processes_size() > kMostProcesses) return error(ErrorKind::corrupt, "too many processes");
  for (const image::Process& process : host_->processes()) {
    pid_t parent = process.parent_pid();
    bool known_parent = parent == kInit || (processes_.contains(parent) && !processes_.at(parent)->zombie());
    bool fresh = process.pid() > kInit && !processes_.contains(process.pid());
    if (!fresh || !known_parent || process.session() < 0 || process.process_group() < 0 ||
        (!process.zombie() && (process.threads_size() < 1 || process.threads(0).tid() != process.pid()))) {
      return error(ErrorKind::corrupt, "the process tree does not make sense at pid " + std::to_string(process.pid()));
    }
    processes_[process.pid()] = &process;
    children_[parent].push_back(process.pid());
    used_.insert({process.pid(), process.session(), process.process_group()});
    for (const image::Thread& thread : process.threads()) used_.insert(thread.tid());
  }
  return {};
}

pid_t ProcessTree::host_pid_of(pid_t pid) const { return pid == kInit ? init_.host_pid : members_.at(pid).host_pid; }

Result<pid_t> ProcessTree::unused_pid() {
  for (pid_t candidate = 299; candidate < 30'000; ++candidate) {
    if (used_.insert(candidate).second) return candidate;
  }
  return error(ErrorKind::exhausted, "no unused pid");
}

Result<void> ProcessTree::call_in(pid_t host_pid, uint64_t number, std::array<uint64_t, 6> arguments,
                                  const char* what) {
  RemoteCalls calls = RemoteCalls::adopt(host_pid, region_);
  CallBatch batch = calls.batch();
  batch.add(number, arguments);
  TRY(calls.run(batch));
  return batch.all_succeeded(what);
}

// Clones a process inside `parent_host_pid`; returns the child's number in our pid namespace.
Result<pid_t> ProcessTree::clone_in(pid_t parent_host_pid, pid_t pid, bool into_cgroup, int exit_signal) {
  RemoteCalls calls = RemoteCalls::adopt(parent_host_pid, region_);
  CallBatch batch = calls.batch();
  size_t made;
  if (into_cgroup) {
    size_t cgroup = batch.add(
        SYS_pidfd_getfd, {static_cast<uint64_t>(init_.worker_pidfd_number), static_cast<uint64_t>(init_.cgroup_fd), 0});
    TRY(calls.run(batch));
    TRY(batch.all_succeeded("passing the cgroup to godwit-init"));
    auto number = static_cast<uint64_t>(batch.result(cgroup));
    batch = calls.batch();
    made = add_clone(batch, pid, CLONE_INTO_CGROUP, exit_signal, number);
    batch.add(SYS_close, {number});
  } else {
    made = add_clone(batch, pid, 0, exit_signal, 0);
  }
  TRY(calls.run(batch));
  TRY(batch.all_succeeded(("making process " + std::to_string(pid)).c_str()));
  CHECK(batch.result(made) == pid);
  pid_t host_pid = TRY(find_child(parent_host_pid, pid));
  TRY(await_birth(host_pid));
  return host_pid;
}

// godwit-init's signal actions are not the program's.
Result<void> ProcessTree::default_signals(pid_t host_pid) {
  RemoteCalls calls = RemoteCalls::adopt(host_pid, region_);
  CallBatch batch = calls.batch();
  std::array<uint64_t, 4> defaults{};  // struct sigaction as the kernel has it: handler, flags, restorer, mask
  RemoteAddress action = batch.put_value(defaults);
  for (uint64_t signal = 1; signal <= 64; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    batch.add(SYS_rt_sigaction, {signal, value(action), 0, sizeof(uint64_t)});
  }
  TRY(calls.run(batch));
  return batch.all_succeeded("default signal actions");
}

Result<void> ProcessTree::make_process(pid_t parent, pid_t pid) {
  const image::Process& process = *processes_.at(pid);
  members_[pid].host_pid = TRY(clone_in(host_pid_of(parent), pid, parent == kInit, process.exit_signal()));
  if (parent == kInit) TRY(default_signals(members_.at(pid).host_pid));
  session_now_[pid] = parent == kInit ? 0 : session_now_.at(parent);
  group_now_[pid] = parent == kInit ? 0 : group_now_.at(parent);
  // Children that keep the session which this process is about to leave come first.
  TRY(make_children(pid, true));
  if (process.session() == pid) {
    TRY(call_in(members_.at(pid).host_pid, SYS_setsid, {}, "beginning a session"));
    session_now_[pid] = pid;
    group_now_[pid] = pid;
    TRY(make_orphans_of_session(pid));
  }
  return make_children(pid, false);
}

Result<void> ProcessTree::make_children(pid_t parent, bool before_setsid) {
  bool leads = parent != kInit && processes_.at(parent)->session() == parent;
  for (pid_t child : children_[parent]) {
    const image::Process& process = *processes_.at(child);
    bool keeps_old_session = leads && process.session() != parent && process.session() != child;
    if (keeps_old_session != before_setsid || members_.contains(child)) continue;
    TRY(make_process(parent, child));
    if (session_now_.at(child) != process.session()) {
      return error(ErrorKind::unsupported, "process " + std::to_string(child) + " is in session " +
                                               std::to_string(process.session()) + ", which its parent never had");
    }
  }
  return {};
}

Result<void> ProcessTree::make_all() {
  // Orphans (children of godwit-init in a session that is not their own) are made by their session's leader.
  std::set<pid_t> leaderless;
  for (pid_t child : children_[kInit]) {
    const image::Process& process = *processes_.at(child);
    if (process.session() == child) TRY(make_process(kInit, child));
  }
  for (pid_t child : children_[kInit]) {
    if (!members_.contains(child)) leaderless.insert(processes_.at(child)->session());
  }
  for (pid_t session : leaderless) {
    if (session == 0) continue;
    if (processes_.contains(session)) return error(ErrorKind::corrupt, "a session without its leader's session");
    pid_t leader = TRY(clone_in(init_.host_pid, session, true, SIGCHLD));
    TRY(default_signals(leader));
    TRY(call_in(leader, SYS_setsid, {}, "beginning a session"));
    members_[session].host_pid = leader;
    session_now_[session] = group_now_[session] = session;
    TRY(make_orphans_of_session(session));
    members_.erase(session);
    TRY(end_temporary(0, leader, session));
  }
  for (pid_t child : children_[kInit]) {
    if (!members_.contains(child)) TRY(make_process(kInit, child));  // still in godwit-init's own session
  }
  return {};
}

// An orphan is cloned by an intermediate child of the leader, whose end leaves it to godwit-init.
Result<void> ProcessTree::make_orphans_of_session(pid_t session) {
  std::vector<pid_t> orphans;
  for (pid_t child : children_[kInit]) {
    if (child != session && processes_.at(child)->session() == session && !members_.contains(child)) {
      orphans.push_back(child);
    }
  }
  if (orphans.empty()) return {};
  pid_t between = TRY(unused_pid());
  pid_t leader_host = members_.at(session).host_pid;
  members_[between].host_pid = TRY(clone_in(leader_host, between, false, SIGCHLD));
  session_now_[between] = session;
  group_now_[between] = group_now_.at(session);
  for (pid_t orphan : orphans) {
    members_[orphan].host_pid =
        TRY(clone_in(members_.at(between).host_pid, orphan, false, processes_.at(orphan)->exit_signal()));
    session_now_[orphan] = session;
    group_now_[orphan] = group_now_.at(session);
  }
  pid_t between_host = members_.at(between).host_pid;
  members_.erase(between);
  TRY(end_temporary(leader_host, between_host, between));
  for (pid_t orphan : orphans) TRY(make_children(orphan, false));
  return {};
}

// Ends an intermediate process; `parent_host_pid` waits for it (0: godwit-init does by itself).
Result<void> ProcessTree::end_temporary(pid_t parent_host_pid, pid_t host_pid, pid_t pid) {
  RemoteCalls calls = RemoteCalls::adopt(host_pid, region_);
  TRY(calls.end_process(0).within("ending an intermediate process"));
  if (parent_host_pid == 0) return {};
  return call_in(parent_host_pid, SYS_wait4, {static_cast<uint64_t>(pid), 0, __WALL, 0}, "waiting for an intermediate");
}

Result<void> ProcessTree::join_groups() {
  std::map<pid_t, std::vector<pid_t>> joining;
  for (auto& [pid, process] : processes_) {
    if (!members_.contains(pid)) continue;  // ended before
    if (group_now_.at(pid) != process->process_group()) joining[process->process_group()].push_back(pid);
  }
  for (auto& [group, pids] : joining) {
    if (group != 0) TRY(join_group(group, pids));
  }
  return {};
}

Result<void> ProcessTree::join_group(pid_t group, const std::vector<pid_t>& joining) {
  auto set_group = [&](pid_t host_pid) {
    return call_in(host_pid, SYS_setpgid, {0, static_cast<uint64_t>(group)}, "joining a process group");
  };
  bool leader_lives = members_.contains(group);
  if (leader_lives) {
    if (group_now_.at(group) != group) TRY(set_group(members_.at(group).host_pid));
    group_now_[group] = group;
  }
  bool exists = std::any_of(group_now_.begin(), group_now_.end(),
                            [&](auto& entry) { return entry.second == group && processes_.contains(entry.first); });
  pid_t temporary = 0;
  pid_t creator = members_.at(joining.front()).host_pid;
  if (!exists) {  // its leader has ended: somebody takes the number for a moment
    temporary = TRY(clone_in(creator, group, false, SIGCHLD));
    TRY(set_group(temporary));
  }
  for (pid_t pid : joining) {
    if (pid != group) TRY(set_group(members_.at(pid).host_pid));
    group_now_[pid] = group;
  }
  if (temporary != 0) TRY(end_temporary(creator, temporary, group));
  return {};
}

Result<void> ProcessTree::end_zombies() {
  for (auto& [pid, process] : processes_) {
    if (!process->zombie() || !members_.contains(pid)) continue;
    RemoteCalls calls = RemoteCalls::adopt(members_.at(pid).host_pid, region_);
    TRY(calls.end_process(process->exit_code()).within("ending zombie " + std::to_string(pid)));
    members_.erase(pid);
  }
  return {};
}

// A process that may not have so many gets what it needs in the freeze.
Result<void> ProcessTree::make_room_for_descriptors(const image::Process& process) {
  Member& member = members_.at(process.pid());
  int wanted = highest_descriptor_to_be(process);
  if (wanted <= member.room) return {};
  member.room = wanted;
  RemoteCalls calls = RemoteCalls::adopt(member.host_pid, region_);
  CallBatch batch = calls.batch();
  size_t made = batch.add(
      SYS_fcntl, {static_cast<uint64_t>(init_.worker_pidfd_number), F_DUPFD_CLOEXEC, static_cast<uint64_t>(wanted)});
  batch.add_using(SYS_close, {}, 0, made);
  return calls.run(batch);
}

Result<void> ProcessTree::make_threads(const image::Process& process) {
  TRY(make_room_for_descriptors(process));
  Member& member = members_.at(process.pid());
  member.host_threads = {member.host_pid};
  return add_threads(process, {{process.pid(), member.host_pid}});
}

// Makes the threads that are not `known` (by tid in the job), and puts all in the order that `process` has.
Result<void> ProcessTree::add_threads(const image::Process& process, std::map<pid_t, pid_t> known) {
  Member& member = members_.at(process.pid());
  RemoteCalls calls = RemoteCalls::adopt(member.host_pid, region_);
  CallBatch batch = calls.batch();
  constexpr uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  for (const image::Thread& thread : process.threads()) {
    if (known.contains(thread.tid())) continue;
    if (batch.room() < kRoomForOneClone) {
      TRY(calls.run(batch));
      TRY(batch.all_succeeded("making threads"));
      batch = calls.batch();
    }
    add_clone(batch, thread.tid(), kThread, 0, 0);
  }
  if (!batch.empty()) {
    TRY(calls.run(batch));
    TRY(batch.all_succeeded("making threads"));
  }
  std::map<pid_t, pid_t> by_tid;
  member.host_threads.clear();
  for (const image::Thread& thread : process.threads()) {
    auto there = known.find(thread.tid());
    if (there != known.end()) {
      member.host_threads.push_back(there->second);
      continue;
    }
    if (by_tid.empty()) by_tid = TRY(threads_by_inner_tid(member.host_pid));
    auto found = by_tid.find(thread.tid());
    if (found == by_tid.end()) return error(ErrorKind::gone, "a new thread ended");
    TRY(await_birth(found->second));
    member.host_threads.push_back(found->second);
  }
  return {};
}

}  // namespace godwit::coprocess
