// DoomedTree: the processes that a switchover has left at the source while their memory is still fetched from them
// (post-copy). None of them runs again, whatever becomes of us: should this process die, the kernel kills them.
//
// What has arrived at the destination is given back from inside, by madvise(2) that a stopped thread of each process
// calls for us: process_madvise(2) frees nothing of another process (Linux mm/madvise.c, process_madvise_remote_valid),
// and no other call does. The cgroup is thawed for that; every thread in it stays stopped and traced. Used by the
// tracing thread only; a failure leaves memory where it is. Source: ptrace(2), PTRACE_O_EXITKILL.
#pragma once

#include <map>
#include <span>
#include <string>

#include "base/result.h"
#include "freeze/remote_calls.h"
#include "freeze/seized_tree.h"
#include "sys/process_memory.h"

namespace godwit::freeze {

class DoomedTree {
 public:
  // Requires: the switchover has been made; `cgroup` holds nobody but the tree. Errors leave the cgroup frozen.
  static Result<DoomedTree> take(SeizedTree tree, const std::string& cgroup);

  // Frees these pages of a process; nothing of them can be read afterwards. Returns how many bytes that were.
  Result<uint64_t> give_back(pid_t host_pid, std::span<const sys::AddressRange> pages);

 private:
  DoomedTree() = default;
  std::map<pid_t, pid_t> threads_;  // of each process, by its pid: one that can be used
  std::map<pid_t, RemoteCalls> calls_;
};

}  // namespace godwit::freeze
