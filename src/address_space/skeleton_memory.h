// Skeleton memory: gives a prepared process at the destination the layout that the moved one has, without its content.
//
// adapt() works by difference, segment by segment: what is mapped alike already stays (and keeps its content), the rest
// is unmapped and mapped anew, so that the same function builds a skeleton before the freeze and corrects it in the
// freeze. All mappings are made by remote calls in the process itself; its vDSO and vvar move to the wanted place by
// mremap(2). Failure leaves a process that can only be killed. Source: mmap(2), mremap(2), Linux
// arch/x86/entry/vdso/vma.c.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "freeze/remote_calls.h"
#include "godwit/image.pb.h"
#include "sys/process_memory.h"

namespace godwit::address_space {

// Where mapped files and memory objects come from.
struct MappingSources {
  // A descriptor of this worker for a file, writable or not; owned by the callee until the build is over.
  std::function<Result<int>(uint32_t file, bool writable)> file;
  std::function<Result<int>(uint32_t object, bool writable)> shared_memory;
  int worker_pidfd_number;  // the descriptor, in the target, that stands for this worker
};

class SkeletonMemory {
 public:
  // Requires: `calls` runs in a process that is a bare copy of godwit-init.
  explicit SkeletonMemory(freeze::RemoteCalls calls) : calls_(std::move(calls)) {}

  // Ensures: the layout is `wanted`, but for the injected region. Checks every number in `wanted` (it came from a
  // peer). Returns what was mapped and is no longer, or otherwise.
  Result<std::vector<sys::AddressRange>> adapt(const image::AddressSpace& wanted, const MappingSources& sources);
  // Makes guard pages in what is mapped, or ordinary pages of them again: madvise(2), MADV_GUARD_INSTALL, Linux 6.13.
  Result<void> guard(std::span<const sys::AddressRange> ranges, bool guarded);
  // Once all content is there: until then read-only memory of the hugetlb pool can be written to, for which kernels
  // before 6.13 have no other way (mm/gup.c, check_vma_flags).
  Result<void> protect_pool();
  // brk, argument and environment area, auxiliary vector, /proc/PID/exe: PR_SET_MM_MAP. `executable_fd` is a number in
  // the target.
  static void add_limits(freeze::CallBatch& batch, const image::AddressSpace& wanted, int executable_fd);

  // What is mapped there, for messages.
  std::string what_is_at(uint64_t address) const;

  // Where the vDSO is now.
  freeze::RemoteAddress vdso() const { return vdso_; }
  freeze::RemoteCalls& calls() { return calls_; }

 private:
  Result<void> begin();  // what is mapped in a bare copy is unmapped but for region, vDSO and vvar
  Result<void> allocate_keys(uint32_t wanted);
  Result<void> place_kernel_pages(const image::AddressSpace& wanted);
  Result<void> unmap(const std::vector<image::Mapping>& surplus);
  bool is_locked(sys::AddressRange range) const;
  Result<void> map(const std::vector<image::Mapping>& missing, const MappingSources& sources);

  freeze::RemoteCalls calls_;
  freeze::RemoteAddress vdso_{};
  uint32_t keys_ = 0;                         // see protection_keys.h
  std::vector<image::Mapping> current_;       // what adapt() has mapped
  std::vector<image::Mapping> kernel_pages_;  // vDSO and vvar where they are now
};

// An address for a region of `bytes` that is free in every one of `spaces`.
Result<freeze::RemoteAddress> find_common_gap(const std::vector<const image::AddressSpace*>& spaces, uint64_t bytes);

// The parts of `from` that `to` does not have in the same form: pure, for adapt() and its test.
std::vector<image::Mapping> layout_difference(const std::vector<image::Mapping>& from,
                                              const std::vector<image::Mapping>& to);

// Bounds of a layout that came from a peer: ordered, page aligned, below the address limit, at most 200,000 mappings.
Result<void> check_layout(const image::AddressSpace& space);

}  // namespace godwit::address_space
