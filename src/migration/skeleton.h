// Skeleton: the logical host as it is prepared at the destination before the freeze, and corrected in it.
//
// Processes with the right pids, stopped and traced; their layouts; nothing of their content. It borrows godwit-init
// only while it clones from it. Failure leaves processes that only the cgroup's owner can end. One thread only, but for
// put().
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <span>

#include "address_space/fresh_memory.h"
#include "address_space/skeleton_memory.h"
#include "address_space/unplaced_pages.h"
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
  // Content: the bytes of the ranges, one after the other. Several threads may put at once, while nobody does anything
  // else.
  Result<void> put(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes);
  // Content as it is now. Errors: gone or failed where there is none.
  Result<void> read(pid_t pid, uint64_t address, std::span<std::byte> into);
  // When all files are as they are to be: content that had no place before.
  Result<void> place_rest();
  // Takes content away again: the ranges read as if nothing had been written.
  Result<void> drop(pid_t pid, std::span<const sys::AddressRange> ranges);
  // Makes guard pages, which have no content, or takes them away.
  Result<void> guard(pid_t pid, std::span<const sys::AddressRange> ranges, bool guarded);
  // From now on much content comes for memory in which there is nothing; until it is all there.
  void expect_content() { filling_ = address_space::FreshMemory::worthwhile(); }
  void content_is_there();
  // What tells of pages that are touched and not there.
  Result<sys::Userfaultfd> make_faults(pid_t pid);
  // Does `work` while nothing is in `holes` and nothing can come there but by a fault: a huge page that came into being
  // with a neighbour's content would have zeros there.
  Result<void> with_holes(pid_t pid, std::span<const sys::AddressRange> holes,
                          const std::function<Result<void>()>& work);
  // A scope of remote calls in one thread: position as in image.Process.threads.
  freeze::RemoteCalls calls(pid_t pid, size_t thread) const;

 private:
  Result<const sys::MemoryFile*> memory_file(pid_t pid);
  Result<void> write(pid_t pid, uint64_t address, std::span<const std::byte> bytes);
  size_t write_scattered(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes);
  void forget_unplaced(pid_t pid, std::span<const sys::AddressRange> ranges);
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
  std::mutex putting_;  // of files_ and unplaced_, among threads that put
  std::map<pid_t, sys::MemoryFile> files_;
  std::map<pid_t, address_space::UnplacedPages> unplaced_;
  std::map<pid_t, std::vector<sys::AddressRange>> lost_;
  bool filling_ = false;
  std::map<pid_t, address_space::FreshMemory> fresh_;  // while filling
  image::LogicalHost shape_;
};

}  // namespace godwit::migration
