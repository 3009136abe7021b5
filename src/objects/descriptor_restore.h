// The descriptors of all processes at the destination: this worker makes every description, and the processes take them
// out of it. Where they come from: descriptor_capture.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "godwit/image.pb.h"
#include "objects/description.h"
#include "objects/file_locks.h"

namespace godwit::objects {

class DescriptorRestore {
 public:
  using NewBatch = std::function<freeze::CallBatch()>;
  using RunBatch = std::function<Result<void>(freeze::CallBatch&)>;

  // Makes all descriptions in this worker, content included. `tun_ends`: those of the job's network.
  // `accept_queue`: if it was loaded ahead; it is taken. So is what is `ready`. `elapsed`: since
  // the capture. `host_pid`: of a process of the job, in our own pid namespace; 0: it is not there.
  static Result<DescriptorRestore> create(const image::LogicalHost& host, TunEnds& tun_ends,
                                          std::optional<sys::AcceptQueue>& accept_queue, files::Opener& opener,
                                          ReadyDescriptions& ready, const sys::MountNamespace& mounts,
                                          SharedMemorySet& shared_memory, std::span<const ConsoleFd> consoles,
                                          std::chrono::nanoseconds elapsed, const files::Owner& owner,
                                          const std::function<pid_t(pid_t)>& host_pid);

  // Puts the descriptors of `process` into it. Requires: nothing is open there but `worker_pidfd`, which is closed in
  // the end.
  Result<void> install(const image::Process& process, int worker_pidfd, const NewBatch& new_batch, const RunBatch& run);
  // What others can see, before and after the switchover; between them what is left to be done of TCP connections can
  // be noted, lest it is lost with us.
  Result<void> before_switchover();
  image::TcpRest tcp_rest() const { return tcp_sockets_->rest(); }
  Result<void> after_switchover();
  // See TcpSocketRestore; after before_switchover().
  std::vector<UniqueFd> take_speakers() { return tcp_sockets_->take_speakers(); }
  // Locks that the source has until the switchover; processes by their pids in the job.
  LockSet& late_locks() { return late_locks_; }
  bool has_late_locks() const { return !late_locks_.empty(); }

 private:
  Result<void> set_owners(const image::LogicalHost& host, const std::function<pid_t(pid_t)>& host_pid);
  Result<void> add_epoll_watches(const image::Process& process, const NewBatch& new_batch, const RunBatch& run);
  Result<void> take_locks(const image::Process& process, const NewBatch& new_batch, const RunBatch& run);
  Result<void> take_locks_in_flight();
  Result<void> begin_to_listen();
  std::optional<uint32_t> shared_file(const image::Description& description) const;

  files::Opener* opener_ = nullptr;
  files::Owner owner_;
  MadeDescriptions descriptions_;
  std::unique_ptr<UnixSocketRestore> unix_sockets_;
  std::unique_ptr<TcpSocketRestore> tcp_sockets_;
  std::map<uint32_t, const image::Description*> images_;
  std::map<uint32_t, bool> watched_;  // epoll descriptions whose watches are set
  std::set<uint32_t> locked_;         // descriptions whose locks are taken, or will be
  LockSet late_locks_;
};

}  // namespace godwit::objects
