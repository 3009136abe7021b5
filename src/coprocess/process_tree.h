// ProcessTree: the processes of a logical host, made anew at the destination with the same pids, parents, sessions and
// groups.
//
// Every process is cloned by its own parent (by remote calls, godwit-init being the first), so that parentage needs no
// repair; orphans are left by an intermediate that ends. All are bare copies of godwit-init, stopped and traced by this
// worker, with every signal blocked and the injected region at one common address. Zombies have already ended. On
// destruction nothing is killed: the owner of the cgroup does that. Source: clone(2) (clone3, set_tid), setsid(2),
// setpgid(2), credentials(7).
#pragma once

#include <map>
#include <set>
#include <vector>

#include "base/result.h"
#include "freeze/remote_calls.h"
#include "godwit/image.pb.h"

namespace godwit::coprocess {

// godwit-init of the new logical host, running.
struct InitProcess {
  pid_t host_pid;
  int worker_pidfd_number;  // in init: a descriptor that stands for this worker
  int cgroup_fd;            // in this worker: the cgroup for everything that moves
};

class ProcessTree {
 public:
  struct Member {
    pid_t host_pid = 0;
    std::vector<pid_t> host_threads;  // by position in image.Process.threads; the main thread first
    int room = 0;                     // for descriptors: the largest number
  };

  // Checks what came from a peer: pids unique and positive, parents before children, at most 32,768 processes.
  static Result<ProcessTree> create(const InitProcess& init, freeze::CodeRegion region, const image::LogicalHost& host);

  // Whether a tree made for `before` can become one for `now` without those being touched that are in both: processes
  // and threads have come and gone, groups have changed. Otherwise (other sessions, another parent, a daemon without
  // its session's leader, a new child of godwit-init) a new tree is needed. Both sides of a migration ask this, of the
  // same two.
  static bool can_become(const image::LogicalHost& before, const image::LogicalHost& now);
  // Requires: can_become(before, now), this tree is one for `before`, every thread is stopped. Ensures: what create()
  // ensures for `now`; a new process is a copy of its parent as that is now. Failure leaves a tree of no use.
  Result<void> become(const image::LogicalHost& before, const image::LogicalHost& now);

  // For the descriptors of `process` and some more, before the freeze: a table that several threads share grows only
  // after an RCU grace period, some milliseconds, so that create() and become() do it while there is one thread. Does
  // nothing when there is room. Source: Linux fs/file.c, expand_fdtable.
  Result<void> make_room_for_descriptors(const image::Process& process);

  const std::map<pid_t, Member>& members() const { return members_; }  // by pid in the job; zombies are not among them
  freeze::RemoteCalls calls(pid_t pid) const { return freeze::RemoteCalls::adopt(members_.at(pid).host_pid, region_); }

 private:
  ProcessTree(const InitProcess& init, freeze::CodeRegion region, const image::LogicalHost& host);

  Result<void> index();
  Result<void> make_all();
  Result<void> make_children(pid_t parent, bool before_setsid);
  Result<void> default_signals(pid_t host_pid);
  Result<void> make_process(pid_t parent, pid_t pid);
  Result<void> make_orphans_of_session(pid_t session);
  Result<void> join_groups();
  Result<void> join_group(pid_t group, const std::vector<pid_t>& joining);
  Result<void> end_zombies();
  Result<void> make_threads(const image::Process& process);
  Result<void> add_threads(const image::Process& process, std::map<pid_t, pid_t> known);
  Result<void> remove_ended(const image::LogicalHost& before);
  Result<void> change_threads(const image::Process& before, const image::Process& now);
  Result<pid_t> clone_in(pid_t parent_host_pid, pid_t pid, bool into_cgroup, int exit_signal);
  Result<void> end_temporary(pid_t parent_host_pid, pid_t host_pid, pid_t pid);
  Result<void> call_in(pid_t host_pid, uint64_t number, std::array<uint64_t, 6> arguments, const char* what);
  Result<pid_t> unused_pid();
  pid_t host_pid_of(pid_t pid) const;

  InitProcess init_;
  freeze::CodeRegion region_;
  const image::LogicalHost* host_;
  std::map<pid_t, const image::Process*> processes_;
  std::map<pid_t, std::vector<pid_t>> children_;
  std::set<pid_t> used_;  // every pid, tid, session and group number
  std::map<pid_t, Member> members_;
  std::map<pid_t, pid_t> group_now_, session_now_;
};

}  // namespace godwit::coprocess
