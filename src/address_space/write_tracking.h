// WriteTracking: which pages of a process were written since they were last looked at, found while it runs.
//
// A userfaultfd with WP_ASYNC, made in the process in one short stop, marks what is write-protected; the kernel lifts
// the protection by itself when the program writes, and PAGEMAP_SCAN reports what is no longer protected. Nothing of it
// is seen by the program but a fault of about a microsecond at the first write to a page. The scope's end stops it.
// Decision: docs/decisions/0001-write-tracking.md. Sources: see sys/userfaultfd.h and sys/pagemap_scan.h.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/result.h"
#include "freeze/remote_calls.h"
#include "sys/pagemap_scan.h"
#include "sys/userfaultfd.h"

namespace godwit::address_space {

// A userfaultfd made in a stopped process and taken out of it. Requires: all its threads are stopped (it takes the
// lowest free descriptor number for a moment).
// Those of the kernel on the program's behalf only a privileged process may have handled. For tracking that does not
// matter: the kernel resolves all of them itself (WP_ASYNC).
enum class FaultsOf { program, program_and_kernel };
Result<UniqueFd> make_userfaultfd(freeze::RemoteCalls& calls, int pidfd, FaultsOf whose);

class WriteTracking {
 public:
  // Both of one address space.
  WriteTracking(sys::Userfaultfd faults, sys::PageMap pages) : faults_(std::move(faults)), pages_(std::move(pages)) {}
  static Result<WriteTracking> attach(freeze::RemoteCalls& calls, pid_t host_pid, int pidfd);

  // Whether the address space still exists; execve(2) ends it.
  bool exists() const { return pages_.exists(); }

  enum class Protect { yes, no };
  // Appends the ranges written since they were last protected; those of a mapping that has just been covered count as
  // written, and pages that are not there and were not protected. With `protect` all are, which takes page tables for
  // those that are not there, 2 MiB for each GiB; then even a page that was there and written in between is reported.
  // Errors: denied when the range is not covered.
  Result<void> written(sys::AddressRange range, Protect protect, std::vector<sys::AddressRange>& into) const;
  // The same without pages that are not there, for ranges of any emptiness. With `protect` they are protected again.
  Result<void> written_there(sys::AddressRange range, Protect protect, std::vector<sys::AddressRange>& into) const;
  // The same for private mappings of files: only what the program made its own.
  Result<void> written_own(sys::AddressRange range, Protect protect, std::vector<sys::AddressRange>& into) const;
  // As written(), for shared mappings of the hugetlb pool: of what is not there scans tell nothing by themselves.
  Result<void> written_in_pool(sys::AddressRange range, Protect protect, std::vector<sys::AddressRange>& into) const;
  // What was written and what is not there, in one look (about 0.8 ms for each GiB of pages): told apart by
  // kPageWritten, kPagePresent, kPageSwapped, kPageZero and, where the kernel knows it, kPageGuard. Errors: as
  // written().
  Result<std::vector<sys::PageRegion>> changes(sys::AddressRange range) const;
  // From now on writes to `range`, which is a whole mapping, are noticed; all of it counts as written.
  Result<void> cover(sys::AddressRange range) const;

 private:
  Result<void> find(sys::AddressRange range, sys::PageQuery query, Protect protect,
                    std::vector<sys::AddressRange>& into) const;
  sys::Userfaultfd faults_;
  sys::PageMap pages_;
};

}  // namespace godwit::address_space
