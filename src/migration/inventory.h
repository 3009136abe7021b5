// Inventory: everything a logical host consists of, as plain values, taken twice with the same code.
//
// plan() looks at the running program from outside: it finds what cannot be moved and what the skeleton must look like.
// full() asks the frozen program itself, by one batch of remote calls per thread. Nothing in the program is changed by
// either.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "address_space/layout.h"
#include "base/result.h"
#include "files/file_table.h"
#include "freeze/kernel_tasks.h"
#include "freeze/remote_calls.h"
#include "freeze/seized_tree.h"
#include "godwit/image.pb.h"
#include "godwit/worker.pb.h"
#include "objects/descriptor_capture.h"
#include "objects/network_settings.h"
#include "objects/shared_memory.h"
#include "proc/stat.h"
#include "proc/status.h"

namespace godwit::migration {

// The interface that godwit gave the job.
objects::GivenInterface given_interface(const worker::JobPlace& place);

class Inventory {
 public:
  // `tasks`: null where the kernel does not offer it.
  Inventory(pid_t init_host_pid, objects::ConsoleEnds consoles, files::FileTable files,
            const freeze::KernelTasks* tasks, objects::SocketCapture& sockets, objects::NetworkSettings& network);

  Result<image::LogicalHost> plan(std::vector<worker::Refusal>& refusals);
  // The same, looked at once more when a process ended under our eyes; and the job's network, when it is another than
  // was told of so far.
  Result<image::LogicalHost> plan_again(std::vector<worker::Refusal>& refusals);
  // Also again, for a moment, while all that is in the way passes when the program goes on.
  Result<image::LogicalHost> plan_patiently(std::vector<worker::Refusal>& refusals);
  // Whether that is so of all `refusals` of the last plan.
  bool pass(const std::vector<worker::Refusal>& refusals) const {
    return refusals.size() == descriptors_.refused_for_now();
  }
  // What every thread waits for; to be taken just before the freeze.
  Result<void> note_waits();
  // Whether something waits to be read by the program that could not move; or must not be lost.
  bool has_unread(bool that_must_not_be_lost) const { return descriptors_.has_unread(that_must_not_be_lost); }
  // Of a tree that is stopped for a moment only: what each thread needs to go on unnoticed.
  Result<void> note_calls(freeze::SeizedTree& tree) const;
  Result<image::LogicalHost> full(freeze::SeizedTree& tree, std::vector<worker::Refusal>& refusals);

  // Microseconds.
  Result<bool> network_changed() { return network_.changed(); }

  files::FileTable& files() { return files_; }
  objects::LockSet& locks() { return descriptors_.locks(); }  // of the last full()
  const objects::SharedMemoryTable& shared_memory() const { return shared_; }
  struct MemoryOfProcess {
    pid_t host_pid;
    pid_t pid;
    const image::AddressSpace* space;
  };
  // The processes of `host` with memory of their own, as the last plan() or full() found them.
  std::vector<MemoryOfProcess> memory_of(const image::LogicalHost& host) const;
  // The least number that the job's next process or thread can get; nothing where the kernel does not tell.
  Result<std::optional<uint32_t>> next_pid() const;
  // Whether it is certain that none has got one since note_waits().
  bool none_born() const;
  pid_t init_host_pid() const { return init_host_pid_; }
  // ErrorKind::gone when it is not of the last plan.
  Result<int> pidfd_of(pid_t host_pid) const;

 private:
  struct Handle {
    pid_t host_pid;
    UniqueFd pidfd;
  };
  Result<proc::Status> add_identity(const freeze::ListedProcess& listed, image::Process& into,
                                    std::vector<worker::Refusal>* refusals);
  Result<int32_t> foreground_group(pid_t host_pid, const proc::Stat& stat);
  Result<void> add_places(const freeze::ListedProcess& listed, image::Process& into);
  Result<void> check_namespaces(const freeze::ListedProcess& listed, std::vector<worker::Refusal>& refusals);
  Result<void> add_threads(const freeze::ListedProcess& listed, image::Process& into);
  Result<void> open_handle(const freeze::ListedProcess& listed);
  Result<void> add_descriptors(objects::Depth depth, image::LogicalHost& host, std::vector<worker::Refusal>& refusals);
  Result<void> add_network(image::LogicalHost& host, std::vector<worker::Refusal>& refusals);
  Result<void> ask_process(freeze::SeizedProcess& seized, const freeze::TaskRecords* records, image::Process& into);
  Result<void> ask_thread(const freeze::SeizedProcess& seized, freeze::SeizedThread& thread,
                          const freeze::TaskRecords* records, image::Thread& into);
  static Result<void> ask_inside(freeze::SeizedProcess& seized, image::Process& into);
  std::vector<pid_t> host_pids() const;

  pid_t init_host_pid_;
  objects::ConsoleEnds consoles_;
  files::FileTable files_;
  const freeze::KernelTasks* tasks_;
  objects::SharedMemoryTable shared_;
  address_space::LayoutCapture layouts_;
  objects::SocketCapture& sockets_;
  objects::DescriptorCapture descriptors_;
  objects::NetworkSettings& network_;
  std::string network_told_;                      // the last that was told of, as bytes
  std::map<pid_t, Handle> handles_;               // by pid in the job
  std::map<pid_t, image::Process> ahead_;         // by pid in the job: what was read before the freeze
  std::map<pid_t, image::Thread> threads_ahead_;  // by host tid
  std::optional<freeze::TaskRecords> waits_;
};

}  // namespace godwit::migration
