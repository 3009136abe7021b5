// LogicalHost: the set of namespaces, the cgroup and the godwit-init that processes move into and live in.
//
// Made by a worker, for a program to be started or for one to be moved in. Until commit() its end ends all of it: every
// process in its cgroups is killed and the cgroups are removed. Requires a single-threaded caller with root's
// capabilities. Source: namespaces(7), pid_namespaces(7), time_namespaces(7), cgroups(7).
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "godwit/worker.pb.h"

namespace godwit::coprocess {

struct TimeOffsets {
  int64_t monotonic_ns = 0;
  int64_t boottime_ns = 0;
};

struct LogicalHostSpec {
  worker::JobPlace place;
  TimeOffsets clocks;
  bool pass_worker_pidfd = false;  // godwit-init holds a pidfd of this worker as init::kWorkerPidfd
};

class LogicalHost {
 public:
  static Result<LogicalHost> create(const LogicalHostSpec& spec);
  ~LogicalHost();
  LogicalHost(LogicalHost&&) noexcept = default;
  LogicalHost& operator=(LogicalHost&&) = delete;

  // This process enters the network, ipc and uts namespaces. The mount namespace is visited (sys/namespace_visit.h).
  Result<void> enter() const;
  pid_t init_pid() const { return init_pid_; }
  int init_pidfd() const { return init_pidfd_.get(); }
  int procs_cgroup() const { return procs_.get(); }  // directory
  // It lives on without us.
  void commit() { cgroup_.clear(); }

 private:
  LogicalHost() = default;
  std::string cgroup_;  // empty: not ours any more
  pid_t init_pid_ = 0;
  UniqueFd init_pidfd_, procs_;
};

// Kills what is in a logical host's cgroups and removes them. Blocks until all have ended, at most some seconds.
Result<void> remove_cgroups(const std::string& cgroup);

}  // namespace godwit::coprocess
