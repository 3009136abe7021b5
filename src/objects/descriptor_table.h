// The descriptors of all processes: the walk at the source, the making and the installing at the destination.
//
// At the source each description (shared by dup and fork) is found once: descriptors come out with pidfd_getfd(2),
// kcmp(2) tells which are one. At the destination this worker makes every description and the processes take them out
// of it.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "godwit/image.pb.h"
#include "objects/description.h"

namespace godwit::objects {

struct ProcessRef {
  pid_t pid;  // inside the job
  pid_t host_pid;
  int pidfd;
};

class DescriptorCapture {
 public:
  DescriptorCapture(files::FileTable& files, SharedMemoryTable& shared_memory, const ConsoleEnds& consoles)
      : files_(files), shared_memory_(shared_memory), consoles_(consoles) {}

  // Fills in host.descriptions and every process's descriptors. Everything unsupported is added to `refusals`.
  Result<void> capture(std::span<const ProcessRef> processes, Depth depth, image::LogicalHost& host,
                       std::vector<worker::Refusal>& refusals);

 private:
  struct Known {
    pid_t host_pid;
    int number;
    uint64_t device, inode, position;
    uint32_t flags;
    uint32_t id;
  };
  Result<void> capture_process(const ProcessRef& process, Depth depth, image::LogicalHost& host,
                               std::vector<worker::Refusal>& refusals);
  Result<std::optional<uint32_t>> find_known(const OpenDescriptor& open);
  Result<void> capture_one(const OpenDescriptor& open, Depth depth, image::LogicalHost& host, image::Process& process,
                           std::vector<worker::Refusal>& refusals);

  files::FileTable& files_;
  SharedMemoryTable& shared_memory_;
  const ConsoleEnds& consoles_;
  std::vector<Known> known_;
  std::map<uint64_t, bool> pipes_with_content_;
};

class DescriptorRestore {
 public:
  using NewBatch = std::function<freeze::CallBatch()>;
  using RunBatch = std::function<Result<void>(freeze::CallBatch&)>;

  // Makes all descriptions in this worker, content included. `elapsed`: since the capture.
  static Result<DescriptorRestore> create(const image::LogicalHost& host, files::Opener& opener,
                                          const sys::MountNamespace& mounts, SharedMemorySet& shared_memory,
                                          std::span<const ConsoleFd> consoles, std::chrono::nanoseconds elapsed);

  // Puts the descriptors of `process` into it. Requires: nothing is open there but `worker_pidfd`, which is closed in
  // the end.
  Result<void> install(const image::Process& process, int worker_pidfd, const NewBatch& new_batch, const RunBatch& run);

 private:
  Result<void> add_epoll_watches(const image::Process& process, const NewBatch& new_batch, const RunBatch& run);
  std::map<uint32_t, UniqueFd> descriptions_;
  std::map<uint32_t, const image::Description*> images_;
  std::map<uint32_t, bool> watched_;  // epoll descriptions whose watches are set
};

}  // namespace godwit::objects
