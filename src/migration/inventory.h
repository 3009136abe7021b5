// Inventory: everything a logical host consists of, as plain values, taken twice with the same code.
//
// plan() looks at the running program from outside: it finds what cannot be moved and what the skeleton must look like.
// full() asks the frozen program itself, by one batch of remote calls per thread. Nothing in the program is changed by either.
#pragma once

#include <memory>
#include <vector>

#include "address_space/layout.h"
#include "address_space/total_freezing.h"
#include "base/result.h"
#include "files/file_table.h"
#include "freeze/restart_block.h"
#include "freeze/seized_tree.h"
#include "godwit/image.pb.h"
#include "godwit/worker.pb.h"
#include "objects/descriptor_table.h"
#include "objects/shared_memory.h"

namespace godwit::migration {

class Inventory {
 public:
  Inventory(pid_t init_host_pid, objects::ConsoleEnds consoles, files::FileTable files);

  Result<image::LogicalHost> plan(std::vector<worker::Refusal>& refusals);
  // `waits`: what each thread was waiting for, read just before the freeze.
  Result<image::LogicalHost> full(freeze::SeizedTree& tree, const std::vector<freeze::ThreadWait>& waits,
                                  std::vector<worker::Refusal>& refusals);

  files::FileTable& files() { return files_; }
  const objects::SharedMemoryTable& shared_memory() const { return shared_; }
  // The processes of `host` with memory of their own, as the last plan() or full() found them.
  std::vector<address_space::MemoryOfProcess> memory_of(const image::LogicalHost& host) const;

 private:
  struct Handle {
    pid_t host_pid;
    UniqueFd pidfd;
  };
  Result<void> add_identity(const freeze::ListedProcess& listed, image::Process& into);
  Result<void> open_handles(const std::vector<freeze::ListedProcess>& listed);
  Result<void> add_descriptors(objects::Depth depth, image::LogicalHost& host, std::vector<worker::Refusal>& refusals);
  Result<void> ask_process(const freeze::SeizedProcess& seized, const std::vector<freeze::ThreadWait>& waits,
                           image::Process& into);

  pid_t init_host_pid_;
  objects::ConsoleEnds consoles_;
  files::FileTable files_;
  objects::SharedMemoryTable shared_;
  address_space::LayoutCapture layouts_;
  objects::DescriptorCapture descriptors_;
  std::map<pid_t, Handle> handles_;  // by pid in the job
};

}  // namespace godwit::migration
