// OptionWatch: which sockets of a cgroup's programs have had no option set since they were looked at. To ask costs one
// system call for a socket, to read its options some eighty.
//
// A BPF program at the setsockopt(2) of the cgroup and of our own, for as long as this lives: a socket counts among
// those of the cgroup whose program made it, be it the worker of an earlier migration. Needs CAP_BPF and CAP_NET_ADMIN;
// without it options are read again. Source: bpf(2), Linux kernel/bpf/cgroup.c, net/core/bpf_sk_storage.c.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/bpf_programs.h"

namespace godwit::sys {

class OptionWatch {
 public:
  // Of the programs in this directory of cgroup v2 and below it.
  static Result<OptionWatch> begin(const std::string& cgroup);
  // Before the options of a socket are read. False: it cannot be watched.
  bool note(int socket) const;
  // Nothing that setsockopt(2) changes has changed since then.
  bool unchanged(int socket) const;

 private:
  OptionWatch(BpfPrograms programs, int sockets) : programs_(std::move(programs)), sockets_(sockets) {}
  Result<void> attach(const std::string& cgroup);
  bool mark(int socket) const;
  BpfPrograms programs_;
  int sockets_;
  std::vector<UniqueFd> links_;
};

}  // namespace godwit::sys
