// Skeleton: the logical host as it is prepared at the destination before the freeze, and corrected in it.
//
// Processes with the right pids, stopped and traced; their layouts; nothing of their content. It borrows godwit-init
// only while it clones from it. Failure leaves processes that only the cgroup's owner can end. One thread only.
#pragma once

#include <map>
#include <optional>
#include <span>

#include "address_space/fresh_memory.h"
#include "address_space/skeleton_memory.h"
#include "base/result.h"
#include "coprocess/process_tree.h"
#include "godwit/image.pb.h"
#include "sys/process_memory.h"
#include "sys/userfaultfd.h"

namespace godwit::migration {

class Skeleton {
 public:
  Skeleton(const coprocess::InitProcess& init, address_space::MappingSources sources)
      : init_(init), sources_(std::move(sources)) {}

  // Ensures: processes, threads and layouts are those of `host`. Processes that are there already are kept with their
  // memory, others come and go (ProcessTree::can_become); when that cannot be everything is made anew.
  Result<void> adapt(const image::LogicalHost& host);

  // What was mapped and is no longer, or otherwise, since it was last asked for, by process.
  std::map<pid_t, std::vector<sys::AddressRange>> take_lost() { return std::exchange(lost_, {}); }

  const std::map<pid_t, coprocess::ProcessTree::Member>& members() const { return tree_->members(); }
  address_space::SkeletonMemory& memory(pid_t pid) { return memories_.at(pid); }
  // The processor that its threads are kept on until they get their own scheduling.
  int processor() const { return processor_; }
  // Content: the bytes of the ranges, one after the other.
  Result<void> put(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes);
  // Takes content away again: the ranges read as if nothing had been written.
  Result<void> drop(pid_t pid, std::span<const sys::AddressRange> ranges);
  // Makes guard pages, which have no content, or takes them away.
  Result<void> guard(pid_t pid, std::span<const sys::AddressRange> ranges, bool guarded);
  // From now on much content comes for memory in which there is nothing; until it is all there.
  void expect_content() { filling_ = address_space::FreshMemory::worthwhile(); }
  void content_is_there();
  // What tells of pages that are touched and not there.
  Result<sys::Userfaultfd> make_faults(pid_t pid);
  // A scope of remote calls in one thread: position as in image.Process.threads.
  freeze::RemoteCalls calls(pid_t pid, size_t thread) const;

 private:
  Result<const sys::MemoryFile*> memory_file(pid_t pid);
  std::string place_of(pid_t pid, uint64_t address) const;  // for messages
  Result<void> build(const image::LogicalHost& host);
  Result<void> discard();
  Result<void> prepare_filling(const image::Process& process);

  coprocess::InitProcess init_;
  address_space::MappingSources sources_;
  int processor_ = 0;
  std::optional<freeze::SharedRegion> shared_;  // in every skeleton, at region_.there
  freeze::CodeRegion region_;
  std::optional<coprocess::ProcessTree> tree_;
  std::map<pid_t, address_space::SkeletonMemory> memories_;
  std::map<pid_t, sys::MemoryFile> files_;
  std::map<pid_t, std::vector<sys::AddressRange>> lost_;
  bool filling_ = false;
  std::map<pid_t, address_space::FreshMemory> fresh_;  // while filling
  image::LogicalHost shape_;
};

}  // namespace godwit::migration
