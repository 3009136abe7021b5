// userfaultfd(2): write tracking and missing pages of another process's address space.
//
// The descriptor is made inside the process whose memory it is about and taken out by pidfd_getfd(2); every request
// here works on that address space, whoever makes it. Closing it ends tracking and lets go of threads that wait.
// Sources: ioctl_userfaultfd(2), Linux include/uapi/linux/userfaultfd.h (WP_ASYNC and WP_UNPOPULATED since 6.7
// and 6.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/process_memory.h"

namespace godwit::sys {

class Userfaultfd {
 public:
  // Takes over a descriptor on which no feature has been asked for yet.
  static Result<Userfaultfd> for_write_tracking(UniqueFd fd);
  static Result<Userfaultfd> for_missing_pages(UniqueFd fd);
  // For copy() alone: nothing is told of the program.
  static Result<Userfaultfd> for_filling(UniqueFd fd);

  // The descriptor that a fork event brought.
  static Userfaultfd of_child(UniqueFd fd) { return Userfaultfd(std::move(fd)); }

  // From now on writes to `range` lift the protection of their pages. What is protected already stays so: mremap(2)
  // without UFFD_FEATURE_EVENT_REMAP ends the tracking of the mapping that results, with all it is merged into, but
  // leaves their pages' protection bits (fs/userfaultfd.c, mremap_userfaultfd_prep). Errors: as below.
  Result<void> track_writes(AddressRange range) const;
  // Lifts the protection of a part of what is tracked. Blocks for the walk, some 30 ms for each GiB of pages.
  Result<void> lift(AddressRange range) const;
  // Write-protects a part of what is tracked; where nothing is the kernel keeps a mark. Blocks for the walk.
  Result<void> protect(AddressRange range) const;
  // Idempotent. Errors: unsupported for ranges that cannot be tracked (kernel pages, some devices), gone when unmapped.
  Result<void> watch_missing(AddressRange range) const;
  Result<void> forget(AddressRange range) const;

  // Puts pages where none are. Stops at the first page that is there already; returns the bytes put. Errors: retry
  // while the layout changes (an event is waiting to be read), gone when the process or the mapping is.
  Result<size_t> copy(uint64_t address, std::span<const std::byte> bytes) const;
  Result<size_t> put_zeros(AddressRange range) const;
  Result<void> wake(AddressRange range) const;

  struct Event {
    enum class Kind { missing, fork, remap, removed, unmapped } kind;
    uint64_t address = 0;  // missing: the page; remap: from
    uint64_t to = 0;       // remap
    AddressRange range{};  // removed, unmapped; remap: from, with its length
    UniqueFd child{};      // fork: the same for the child's address space
  };
  // The next event, if there is one now.
  Result<std::optional<Event>> next() const;

  int fd() const { return fd_.get(); }

 private:
  explicit Userfaultfd(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace godwit::sys
