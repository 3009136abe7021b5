// DepartingMemory: one process's memory at the source: what the destination has of it, and what must be sent to make
// that complete.
//
// One pass serves all methods. Total freezing is a single pass while the program is stopped; pre-copy makes passes
// while it runs, each sending what was written since the one before, and a last one in the freeze. What is private and
// the program's own is sent: present or swapped, not the zero page, not a file's. Both sides follow the same layouts in
// the same order, so that the source knows which pages the destination lost by remapping. Used by one thread only.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <vector>

#include "address_space/departing_objects.h"
#include "address_space/frozen_look.h"
#include "address_space/page_stream.h"
#include "address_space/range_set.h"
#include "address_space/write_tracking.h"
#include "base/result.h"
#include "godwit/image.pb.h"

namespace godwit::address_space {

// closing: while the program runs as well, but only what was written to ordinary memory is looked for. It takes a third
// as long, and is followed by a frozen one, which finds everything else.
enum class Pass { running, closing, frozen };

class DepartingMemory {
 public:
  // `crew` shares in looks at much memory.
  DepartingMemory(pid_t host_pid, pid_t pid, Crew& crew) : host_pid_(host_pid), pid_(pid), crew_(&crew) {}

  // From now on passes while the program runs are possible.
  void track(WriteTracking tracking) { tracking_ = std::move(tracking); }
  bool tracked() const { return tracking_.has_value(); }

  // Another process has the pid now. The destination does not know the difference: it keeps what it has until told.
  void become(pid_t host_pid);
  // The destination now has this layout: what it lost thereby, and what is new, will be sent.
  void follow(const image::AddressSpace& space);
  // The destination began anew and has nothing of it.
  void forget();
  // When all threads are stopped, before send(): the look that send() needs, whose parts are to be looked at by then.
  // Null: there is nothing to look at.
  FrozenLook* prepare_look();
  // Of memory that there is in it.
  uint64_t look_bytes() const;
  // Sends what the destination lacks. Requires: follow(space) was the last; `frozen` means that all threads are
  // stopped. While the program runs nothing is sent of a process whose writes are not tracked. Errors while it runs:
  // none for memory that goes away meanwhile. When the sender is stopped what is not sent yet stays missing.
  Result<void> send(Pass pass, PageSender& sender);

  // Tells `objects` what was written to them through this process's mappings since the last pass. Requires and errors
  // as with send().
  Result<void> find_object_writes(Pass pass, DepartingObjects& objects);
  // Memory objects whose writes are not known once this process has ended.
  std::set<uint32_t> objects() const;

  // For post-copy. As send(), but ordinary anonymous memory outside `at_once` is only told of: it is owed from then on,
  // until it is sent after all. What the destination has of it that is stale is dropped there. Returns the ranges told
  // of.
  Result<size_t> leave(Pass pass, const RangeSet& at_once, PageSender& sender);
  RangeSet take_owed() { return std::exchange(owed_, {}); }

  // The destination did not find what it was referred to for these pages: they are to be sent.
  void lacks(std::span<const sys::AddressRange> ranges);
  // The pages of its own that the process has now.
  Result<std::vector<sys::AddressRange>> own_ranges() const;

  // What was written to ordinary memory that the last pass while it runs has looked at, or has by now, since then.
  uint64_t written_again() const;
  uint64_t redundant_pages() const { return redundant_bytes_ / kPageBytes; }
  // What follow() and track() have found, not yet sent.
  uint64_t missing_bytes() const { return missing_.bytes(); }
  pid_t host_pid() const { return host_pid_; }

 private:
  Result<void> open_pages();
  void begin_anew();
  struct Part {
    const image::Mapping* mapping;
    sys::AddressRange range;
  };
  Result<void> send_running(PageSender& sender);
  Result<void> send_closing(PageSender& sender);
  Result<void> send_frozen(PageSender& sender);
  Result<uint64_t> end_of_piece(const image::Mapping& mapping, uint64_t start) const;
  std::vector<sys::AddressRange> worth_a_look(const image::Mapping& mapping, sys::AddressRange piece);
  bool is_looked_at_whole(const image::Mapping& mapping) const;
  Result<void> send_written(const image::Mapping& mapping, std::span<const sys::AddressRange> written,
                            PageSender& sender);
  Result<void> send_piece(const image::Mapping& mapping, sys::AddressRange piece, Pass pass, PageSender& sender);
  Result<std::vector<sys::AddressRange>> written(const image::Mapping& mapping, sys::AddressRange piece, Pass pass);
  struct Found {
    std::vector<sys::AddressRange> own;
    RangeSet guards;
  };
  Result<Found> find_missing(const image::Mapping& mapping, sys::AddressRange piece) const;
  Found find_missing(sys::AddressRange piece, const FrozenLook::Changes& seen) const;
  const WriteTracking* tracking() const { return tracking_ ? &*tracking_ : nullptr; }
  Result<void> follow_guards(sys::AddressRange piece, std::vector<sys::AddressRange> looks, RangeSet now,
                             PageSender& sender);
  Result<void> follow_guards_only(const image::Mapping& mapping, PageSender& sender);
  Result<void> follow_guards_in_owed(const image::Mapping& mapping, PageSender& sender);
  Result<void> find_dropped(const image::Mapping& mapping, sys::AddressRange piece);
  std::vector<sys::AddressRange> guards_may_be(sys::AddressRange piece,
                                               const std::vector<sys::AddressRange>& changed) const;
  Result<void> send_or_leave(const image::Mapping& mapping, sys::AddressRange range, PageSender& sender);
  Result<void> settle(PageSender& sender);
  PageOrigin origin(const image::Mapping& mapping, sys::AddressRange range) const;

  pid_t host_pid_;
  pid_t pid_;
  Crew* crew_;
  std::optional<sys::PageMap> pages_;
  std::optional<WriteTracking> tracking_;
  std::vector<sys::AddressRange> looked_at_;               // by the last pass while it runs, ordinary memory
  std::optional<FrozenLook> look_;                         // from prepare_look() to the end of send_frozen()
  std::optional<FrozenLook> late_look_;                    // during send_frozen(), at parts
  std::vector<image::Mapping> layout_;                     // as the destination has it
  std::vector<sys::AddressRange> lost_{sys::kEverywhere};  // the destination has nothing there since the last pass
  std::set<uint32_t> lost_objects_;                        // that were mapped since the last pass and are no longer
  RangeSet missing_;                                       // of which it has nothing yet
  RangeSet sent_;                                          // of which it has content
  RangeSet guards_;                                        // that it has
  std::vector<sys::AddressRange> queued_;                  // sent in this pass
  std::vector<sys::AddressRange> dropped_;                 // content that is no longer there
  std::vector<sys::AddressRange> postponed_;               // of the piece in hand, when the sender was stopped
  RangeSet owed_;                                          // left to post-copy, as the destination knows
  std::vector<sys::AddressRange> owed_now_;                // in this pass
  const RangeSet* at_once_ = nullptr;                      // during leave()
  uint64_t redundant_bytes_ = 0;
};

}  // namespace godwit::address_space
