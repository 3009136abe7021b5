// The descriptors of all processes at the source: each description (shared by dup and fork) is found once. They come
// out with pidfd_getfd(2); kcmp(2) tells which are one. What becomes of them: descriptor_restore.h.
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
#include "objects/familiar_descriptions.h"
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
    const freeze::DescriptorRecord* record;  // of a stopped process, or null
    uint64_t identity() const { return record != nullptr ? record->description : 0; }
  };
  Result<std::vector<Numbered>> numbers_of(pid_t host_pid, Depth depth);
  Result<void> capture_process(const ProcessRef& process, Depth depth, image::LogicalHost& host,
                               std::vector<worker::Refusal>& refusals);
  Result<std::optional<uint32_t>> recognise(const ProcessRef& process, const Numbered& which, image::LogicalHost& host);
  void learn(const OpenDescriptor& open, const image::Description& description);
  uint32_t next_id() const { return static_cast<uint32_t>(known_.size() + 1); }
  uint32_t add(image::Description description, Known known, uint64_t inode, image::LogicalHost& host);
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
  std::vector<freeze::DescriptorRecord> records_;   // of the process in hand, by number
  FamiliarDescriptions familiar_;                   // of the last plan
  std::unordered_multimap<uint64_t, Known> known_;  // by inode
  std::unordered_map<uint64_t, uint32_t> by_identity_;
  std::map<pid_t, pid_t> inner_pids_;
  std::vector<UniqueFd> in_flight_;  // open as long as they are compared with others
  std::map<uint64_t, bool> pipes_with_content_;
  LockSet locks_;
  std::vector<Unread> to_be_read_;
  size_t refused_for_now_ = 0;
};

}  // namespace godwit::objects
