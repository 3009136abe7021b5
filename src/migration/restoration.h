// Restoration: brings a frozen logical host back to life inside the destination's skeleton, up to the point where one
// write to its cgroup lets every thread run.
//
// prepare() before the freeze; in it correct(), make_objects(), restore() when all content is there; hold_frozen()
// makes it safe against our own end: all threads are released from tracing into a frozen cgroup, complete and not
// running. run() thaws. What came from the peer is checked before it is used, and no process gets more rights than the
// job's owner has. One thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "address_space/fault_server.h"
#include "address_space/page_stream.h"
#include "base/result.h"
#include "coprocess/logical_host.h"
#include "files/opener.h"
#include "freeze/replant.h"
#include "godwit/image.pb.h"
#include "godwit/worker.pb.h"
#include "migration/skeleton.h"
#include "objects/descriptor_restore.h"
#include "objects/process_state.h"
#include "objects/shared_memory.h"

namespace godwit::migration {

class Restoration {
 public:
  Restoration(const coprocess::LogicalHost& host, const sys::MountNamespace& mounts, files::Opener& opener,
              const worker::JobPlace& place);

  Result<void> prepare(const image::LogicalHost& plan);
  Result<void> correct(const image::LogicalHost& state);
  // While the program runs, after correct(): what makes make_objects() shorter.
  void make_ready(const image::LogicalHost& plan) { ready_.prepare(plan); }
  // What the processes have open, and where they are. `ends`: the job's side of its consoles. Memory may arrive
  // meanwhile and afterwards, but not content of files.
  Result<void> make_objects(const image::LogicalHost& state, std::span<const objects::ConsoleFd> ends,
                            objects::TunEnds& tun_ends);
  // What is left of them.
  Result<void> restore(const image::LogicalHost& state);
  Result<void> hold_frozen();
  // Whether locks are to be taken between the switchover and run(). Until then the threads are traced.
  bool locks_follow() const { return descriptors_->has_late_locks(); }
  // Takes shared ones first, calls `shared`, and then what is wanted. Blocks until `until` at most; returns a file of
  // which a lock is lacking, or nothing. If we die in it the program runs, with the locks it has by then.
  Result<std::string> take_locks(std::chrono::steady_clock::time_point until, const std::function<void()>& shared);
  Result<void> run();
  // Before run(): what stands in for connections within the job that say their last words.
  std::vector<UniqueFd> take_speakers() { return descriptors_->take_speakers(); }
  // When all content is there and the program runs: what it wants in huge pages (MADV_HUGEPAGE) and has in small ones
  // becomes huge again. Blocks for the copying. What cannot be made is left as it is.
  void collapse_huge_pages() const;

  // How long ago the program's state was received.
  std::chrono::nanoseconds since_state() const { return std::chrono::steady_clock::now() - state_received_; }
  // Before prepare(): whether most of its memory is to come before it runs. When that is there, so that what comes
  // later is only corrections, it should be said.
  void expect_content() { skeleton_.expect_content(); }
  void content_is_there() { skeleton_.content_is_there(); }
  Result<void> place_rest() { return skeleton_.place_rest(); }

  // Where the threads are that all this is done to.
  int processor() const { return skeleton_.processor(); }
  // Puts pages; several threads may at once, while nobody does anything else.
  Result<void> put(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes);
  // Where pages that arrive on `connection` go.
  address_space::PageReceiver page_sinks(transport::Connection& connection);
  // Reads what is there of a process's or a memory object's content by now.
  address_space::PresentPages::ReadMemory page_reader();
  // Makes guard pages, or ordinary ones of them again.
  Result<void> guard(pid_t pid, std::span<const sys::AddressRange> ranges, bool guarded) {
    if (guarded) owed_no_more(pid, ranges);
    return skeleton_.guard(pid, ranges, guarded);
  }
  // Pages that come only when the program runs. watch_missing() hands them to `server`, before anything touches them.
  Result<void> owe(pid_t pid, std::span<const sys::AddressRange> ranges);
  bool is_owed() const { return !owed_.empty(); }  // the source concludes the same of what it told
  Result<void> watch_missing(address_space::FaultServer& server);
  // While the program runs: what makes it shorter.
  Result<void> make_faults_ready();

 private:
  bool may_be_huge(const image::Mapping& mapping) const;
  void owed_no_more(pid_t pid, std::span<const sys::AddressRange> ranges);
  Result<int> shared_memory_fd(uint32_t object, bool writable);
  address_space::MappingSources mapping_sources();
  Result<int> file_fd(uint32_t file, bool writable);
  Result<void> install_descriptors(const image::Process& process);
  Result<void> set_places(const image::Process& process);
  Result<void> take_terminal(const image::Process& process);
  Result<void> restore_process(const image::Process& process);
  Result<void> drop_signals(pid_t pid);
  Result<void> restore_thread(const image::Process& process, size_t index);
  Result<void> set_registers(const image::Process& process);
  Result<void> release_threads();
  Result<void> in_process(pid_t pid, const std::function<Result<void>(freeze::RemoteCalls&)>& work);
  Result<void> run_batch(pid_t pid, size_t thread, freeze::CallBatch& batch, const char* what);

  const coprocess::LogicalHost& host_;
  const sys::MountNamespace& mounts_;
  files::Opener& opener_;
  const worker::JobPlace& place_;
  objects::ReadyDescriptions ready_;
  std::string cgroup_;
  const bool huge_pages_for_all_;
  Skeleton skeleton_;
  objects::SharedMemorySet shared_;
  std::optional<sys::AcceptQueue> accept_queue_;           // where the program listens; takes milliseconds to load
  std::optional<objects::DescriptorRestore> descriptors_;  // until the program runs
  std::map<std::pair<uint32_t, bool>, UniqueFd> mapped_files_;
  std::mutex putting_;  // of owed_, among threads that put
  std::map<pid_t, address_space::OwedPages> owed_;
  std::map<pid_t, sys::Userfaultfd> ready_faults_;  // by the pid here
  const image::LogicalHost* host_state_ = nullptr;  // the last that correct() made
  const image::LogicalHost* state_ = nullptr;
  image::Credentials root_credentials_;  // what the skeletons have until they get the program's
  image::Process inherited_;             // the same of limits and the like
  std::vector<std::byte> processors_;    // of this node, that we may use
  std::chrono::steady_clock::time_point state_received_;
};

}  // namespace godwit::migration
