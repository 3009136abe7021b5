// The descriptors of all processes: the walk at the source, the making and the installing at the destination.
//
// At the source each description (shared by dup and fork) is found once: descriptors come out with pidfd_getfd(2),
// kcmp(2) tells which are one. At the destination this worker makes every description and the processes take them out
// of it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "freeze/kernel_tasks.h"
#include "godwit/image.pb.h"
#include "objects/description.h"
#include "objects/file_locks.h"

namespace godwit::objects {

struct ProcessRef {
  pid_t pid;  // inside the job
  pid_t host_pid;
  int pidfd;
};

class DescriptorCapture {
 public:
  // `tasks`: null where the kernel does not offer it.
  DescriptorCapture(files::FileTable& files, SharedMemoryTable& shared_memory, const ConsoleEnds& consoles,
                    SocketCapture& sockets, const freeze::KernelTasks* tasks)
      : files_(files), shared_memory_(shared_memory), consoles_(consoles), sockets_(sockets), tasks_(tasks) {}

  // Fills in host.descriptions and every process's descriptors. Everything unsupported is added to `refusals`.
  Result<void> capture(std::span<const ProcessRef> processes, Depth depth, image::LogicalHost& host,
                       std::vector<worker::Refusal>& refusals);
  // Of the last full capture; processes by their pids in our namespace.
  LockSet& locks() { return locks_; }
  // Whether something is unread, of what the last capture found, that cannot move; or must not be lost.
  bool has_unread(bool that_must_not_be_lost) const;
  // How many refusals of the last capture are of the kind that passes when the program goes on.
  size_t refused_for_now() const { return refused_for_now_; }

 private:
  struct Known {
    pid_t host_pid;
    int number;
    uint64_t device, position;
    uint32_t flags;
    uint64_t identity;  // see freeze::DescriptorRecord; 0: not known
    uint32_t id;
  };
  struct Numbered {
    int number;
    const freeze::DescriptorRecord* record;  // or null
    uint64_t identity() const { return record != nullptr ? record->description : 0; }
  };
  Result<std::vector<Numbered>> numbers_of(pid_t host_pid, Depth depth);
  Result<void> capture_process(const ProcessRef& process, Depth depth, image::LogicalHost& host,
                               std::vector<worker::Refusal>& refusals);
  Result<std::optional<uint32_t>> find_known(const OpenDescriptor& open, uint64_t identity, Depth depth);
  // Returns the description's id.
  Result<uint32_t> capture_one(const OpenDescriptor& open, uint64_t identity, Depth depth, image::LogicalHost& host,
                               const image::Process& process, std::vector<worker::Refusal>& refusals);
  void capture_record_locks(const OpenDescriptor& open, uint32_t description, image::Process& into);
  Result<void> capture_in_flight(Depth depth, image::LogicalHost& host, std::vector<worker::Refusal>& refusals);
  Result<OpenDescriptor> look_at(const ProcessRef& process, const Numbered& which, const UniqueFd& copy);

  files::FileTable& files_;
  SharedMemoryTable& shared_memory_;
  const ConsoleEnds& consoles_;
  SocketCapture& sockets_;
  const freeze::KernelTasks* tasks_;
  std::vector<freeze::DescriptorRecord> records_;   // of the process in hand
  std::unordered_multimap<uint64_t, Known> known_;  // by inode
  std::map<pid_t, pid_t> inner_pids_;
  std::vector<UniqueFd> in_flight_;  // open as long as they are compared with others
  std::map<uint64_t, bool> pipes_with_content_;
  LockSet locks_;
  std::vector<Unread> to_be_read_;
  size_t refused_for_now_ = 0;
};

class DescriptorRestore {
 public:
  using NewBatch = std::function<freeze::CallBatch()>;
  using RunBatch = std::function<Result<void>(freeze::CallBatch&)>;

  // Makes all descriptions in this worker, content included. `tun_ends`: those of the job's network.
  // `accept_queue`: if it was loaded ahead; it is taken. `elapsed`: since
  // the capture. `host_pid`: of a process of the job, in our own pid namespace; 0: it is not there.
  static Result<DescriptorRestore> create(const image::LogicalHost& host, TunEnds& tun_ends,
                                          std::optional<sys::AcceptQueue>& accept_queue, files::Opener& opener,
                                          const sys::MountNamespace& mounts, SharedMemorySet& shared_memory,
                                          std::span<const ConsoleFd> consoles, std::chrono::nanoseconds elapsed,
                                          const files::Owner& owner, const std::function<pid_t(pid_t)>& host_pid);

  // Puts the descriptors of `process` into it. Requires: nothing is open there but `worker_pidfd`, which is closed in
  // the end.
  Result<void> install(const image::Process& process, int worker_pidfd, const NewBatch& new_batch, const RunBatch& run);
  // What others can see, before and after the switchover; between them what is left to be done of TCP connections can
  // be noted, lest it is lost with us.
  Result<void> before_switchover();
  image::TcpRest tcp_rest() const { return tcp_sockets_->rest(); }
  Result<void> after_switchover();
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
