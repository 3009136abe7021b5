#include "address_space/departing_memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "address_space/own_pages.h"
#include "address_space/skeleton_memory.h"

namespace godwit::address_space {

namespace {

constexpr uint64_t kPieceBytes = uint64_t{64} << 20;      // protected at once while the program runs
constexpr uint64_t kLargestTracked = uint64_t{64} << 30;  // of a memory object: its page tables take 128 MiB
constexpr size_t kMostLooks = 64;  // at parts of a piece, each of which costs as much as 2000 pages of one look at all

// So many looks at parts of it take longer than one at all.
size_t many_looks(sys::AddressRange range) { return range.size() / (2000 * kPageBytes) + 2; }

bool shows_object(const image::Mapping& mapping) {
  return mapping.kind() == image::Mapping::SHARED_MEMORY && (mapping.flags() & MAP_TYPE) == MAP_SHARED;
}

bool is_looked_at(const image::Mapping& mapping) { return may_have_own_pages(mapping) && is_ordinary(mapping); }

sys::AddressRange in_whole_pages(const image::Mapping& mapping, sys::AddressRange range) {
  if (!is_of_pool(mapping)) return range;
  uint64_t mask = mapping.page_bytes() - 1;
  return {range.start & ~mask, (range.end + mask) & ~mask};
}

WriteTracking::Protect protection(Pass pass) {
  return pass == Pass::frozen ? WriteTracking::Protect::no : WriteTracking::Protect::yes;
}

}  // namespace

PageOrigin DepartingMemory::origin(const image::Mapping& mapping, sys::AddressRange range) const {
  bool anonymous = is_anonymous(mapping);
  // A part of a page of the pool cannot be dropped: zeros are written over what the destination has there.
  bool over_zeros = anonymous && !(is_of_pool(mapping) && !sent_.within(range).empty());
  return {PageOwner::process(pid_), host_pid_, over_zeros, anonymous ? PageClass::anonymous : PageClass::file};
}

void DepartingMemory::follow(const image::AddressSpace& space) {
  std::vector<image::Mapping> now;
  for (const image::Mapping& mapping : space.mappings()) {
    if (mapping.kind() != image::Mapping::VDSO && mapping.kind() != image::Mapping::VVAR) now.push_back(mapping);
  }
  for (const image::Mapping& lost : layout_difference(layout_, now)) {
    if (shows_object(lost)) lost_objects_.insert(lost.object());
    lost_.push_back({lost.start(), lost.end()});
    sent_.remove({lost.start(), lost.end()});
    missing_.remove({lost.start(), lost.end()});
    guards_.remove({lost.start(), lost.end()});
    owed_.remove({lost.start(), lost.end()});
  }
  for (const image::Mapping& fresh : layout_difference(now, layout_)) missing_.add({fresh.start(), fresh.end()});
  layout_ = std::move(now);
}

void DepartingMemory::forget() {
  lost_ = {sys::kEverywhere};
  lost_objects_ = objects();
  layout_.clear();
  missing_.clear();
  sent_.clear();
  guards_.clear();
  owed_.clear();
}

void DepartingMemory::become(pid_t host_pid) {
  host_pid_ = host_pid;
  begin_anew();
}

// Another address space, which is not tracked, and all of which is missing.
void DepartingMemory::begin_anew() {
  lost_objects_ = objects();
  pages_.reset();
  look_.reset();
  late_look_.reset();
  tracking_.reset();
  looked_at_.clear();
  for (const image::Mapping& mapping : layout_) missing_.add({mapping.start(), mapping.end()});
}

Result<void> DepartingMemory::open_pages() {
  bool executed = (pages_ && !pages_->exists()) || (tracking_ && !tracking_->exists());
  if (executed) begin_anew();
  if (!pages_) pages_ = TRY(sys::PageMap::open(host_pid_));
  return {};
}

Result<void> DepartingMemory::send(Pass pass, PageSender& sender) {
  TRY(open_pages());
  if (pass != Pass::frozen && !tracking_) return {};
  sender.set_running(pass != Pass::frozen);
  sender.forget(PageOwner::process(pid_), std::exchange(lost_, {}));
  if (pass == Pass::running) TRY(send_running(sender));
  if (pass == Pass::closing) TRY(send_closing(sender));
  if (pass == Pass::frozen) TRY(send_frozen(sender));
  return settle(sender);
}

Result<void> DepartingMemory::send_running(PageSender& sender) {
  looked_at_.clear();
  for (const image::Mapping& mapping : layout_) {
    if (!may_have_own_pages(mapping)) {
      TRY(follow_guards_only(mapping, sender));
      continue;
    }
    uint64_t end = mapping.end();
    for (uint64_t at = mapping.start(); at < mapping.end() && !sender.stopped(); at = end) {
      end = TRY(end_of_piece(mapping, at));
      for (const sys::AddressRange& part : worth_a_look(mapping, {at, end})) {
        TRY(send_piece(mapping, part, Pass::running, sender));
      }
    }
  }
  return {};
}

Result<void> DepartingMemory::send_closing(PageSender& sender) {
  for (const image::Mapping& mapping : layout_) {
    if (!is_looked_at(mapping)) continue;
    uint64_t end = mapping.end();
    for (uint64_t at = mapping.start(); at < mapping.end(); at = end) {
      end = TRY(end_of_piece(mapping, at));
      for (const sys::AddressRange& part : worth_a_look(mapping, {at, end})) {
        std::vector<sys::AddressRange> changed = TRY(written(mapping, part, Pass::closing));
        if (at_once_ != nullptr) TRY(follow_guards(part, changed, {}, sender));  // which must not be owed
        TRY(send_written(mapping, changed, sender));
      }
    }
  }
  return {};
}

// Not so where only few parts of it are worth a look in the freeze.
bool DepartingMemory::is_looked_at_whole(const image::Mapping& mapping) const {
  sys::AddressRange whole{mapping.start(), mapping.end()};
  return is_looked_at(mapping) && (!owed_.has_many_within(whole, 1) || owed_.has_many_within(whole, many_looks(whole)));
}

uint64_t DepartingMemory::look_bytes() const {
  uint64_t bytes = 0;
  for (const image::Mapping& mapping : layout_) {
    if (is_looked_at(mapping)) bytes += mapping.end() - mapping.start();
  }
  return bytes;
}

FrozenLook* DepartingMemory::prepare_look() {
  if (!open_pages()) return nullptr;
  std::vector<FrozenLook::Piece> pieces;
  for (const image::Mapping& mapping : layout_) {
    if (!is_looked_at(mapping)) continue;
    pieces.push_back({{mapping.start(), mapping.end()}, !is_looked_at_whole(mapping)});
  }
  return &look_.emplace(*pages_, tracking(), pieces);
}

Result<void> DepartingMemory::send_frozen(PageSender& sender) {
  std::vector<Part> parts;
  std::vector<FrozenLook::Piece> looks;
  for (const image::Mapping& mapping : layout_) {
    if (!may_have_own_pages(mapping)) {
      TRY(follow_guards_only(mapping, sender));
      continue;
    }
    sys::AddressRange whole{mapping.start(), mapping.end()};
    std::vector<sys::AddressRange> worthwhile = worth_a_look(mapping, whole);
    bool passes_over = worthwhile.size() != 1 || worthwhile.front() != whole;
    if (passes_over) TRY(follow_guards_in_owed(mapping, sender));
    for (const sys::AddressRange& part : worthwhile) {
      parts.push_back({&mapping, part});
      bool prepared = look_ && is_looked_at_whole(mapping);
      if (is_looked_at(mapping) && !prepared) looks.push_back({part});
    }
  }
  if (!looks.empty()) {
    late_look_.emplace(*pages_, tracking(), looks);
    late_look_->look_at_all(*crew_);
  }
  for (const Part& part : parts) TRY(send_piece(*part.mapping, part.range, Pass::frozen, sender));
  look_.reset();
  late_look_.reset();
  return {};
}

std::set<uint32_t> DepartingMemory::objects() const {
  std::set<uint32_t> objects = lost_objects_;
  for (const image::Mapping& mapping : layout_) {
    if (shows_object(mapping)) objects.insert(mapping.object());
  }
  return objects;
}

Result<void> DepartingMemory::find_object_writes(Pass pass, DepartingObjects& objects) {
  TRY(open_pages());
  for (uint32_t object : std::exchange(lost_objects_, {})) objects.unsure(object);
  for (const image::Mapping& mapping : layout_) {
    if (!shows_object(mapping)) continue;
    sys::AddressRange whole{mapping.start(), mapping.end()};
    if (!tracking_ || whole.size() > kLargestTracked) {
      objects.unsure(mapping.object());
      continue;
    }
    std::vector<sys::AddressRange> ranges;
    auto look = [&] {
      return is_of_pool(mapping) ? tracking_->written_in_pool(whole, protection(pass), ranges)
                                 : tracking_->written(whole, protection(pass), ranges);
    };
    auto looked = look();
    if (!looked && looked.error().kind != ErrorKind::denied) return std::unexpected(std::move(looked.error()));
    if (!looked && pass == Pass::running && tracking_->cover(whole)) {
      (void)look();  // protects it; or it has gone, as the next layout says
    }
    if (!looked) ranges = {whole};
    for (const sys::AddressRange& range : ranges) {
      uint64_t offset = mapping.offset() + (range.start - mapping.start());
      objects.written(mapping.object(), {offset, offset + range.size()});
    }
  }
  return {};
}

// A bounded part of what is there, with all the emptiness before it: reservations span terabytes.
Result<uint64_t> DepartingMemory::end_of_piece(const image::Mapping& mapping, uint64_t start) const {
  auto used = TRY(pages_->first_used({start, mapping.end()}));
  if (!used) return mapping.end();
  return std::min(in_whole_pages(mapping, {*used, *used + kPieceBytes}).end, mapping.end());
}

// What was written since the last pass. A mapping that was not covered (it is new, or was moved) is covered now, and
// then all of it is missing.
Result<std::vector<sys::AddressRange>> DepartingMemory::written(const image::Mapping& mapping, sys::AddressRange piece,
                                                                Pass pass) {
  std::vector<sys::AddressRange> ranges;
  if (!tracking_) return ranges;
  auto look = [&] {
    return is_anonymous(mapping) ? tracking_->written_there(piece, protection(pass), ranges)
                                 : tracking_->written_own(piece, protection(pass), ranges);
  };
  auto looked = look();
  if (pass == Pass::running && is_looked_at(mapping)) looked_at_.push_back(piece);
  if (looked) return ranges;
  if (looked.error().kind != ErrorKind::denied) return std::unexpected(std::move(looked.error()));
  sys::AddressRange whole{mapping.start(), mapping.end()};
  missing_.add(pass == Pass::frozen ? piece : whole);
  if (pass == Pass::frozen) return ranges;
  if (tracking_->cover(whole)) {
    ranges.clear();
    (void)look();  // protects it; should the mapping have gone meanwhile, the next layout says so
  }
  ranges.clear();
  return ranges;
}

uint64_t DepartingMemory::written_again() const {
  std::vector<sys::AddressRange> ranges;
  for (const sys::AddressRange& looked_at : looked_at_) {
    if (tracking_) (void)tracking_->written_there(looked_at, WriteTracking::Protect::no, ranges);  // or it has gone
  }
  uint64_t bytes = 0;
  for (const sys::AddressRange& range : ranges) bytes += range.size();
  return bytes;
}

// What is there of what the destination has nothing of, guard pages apart: one look at all of it.
Result<DepartingMemory::Found> DepartingMemory::find_missing(const image::Mapping& mapping,
                                                             sys::AddressRange piece) const {
  Found found;
  for (const sys::AddressRange& range : missing_.within(piece)) {
    OwnPages pages = TRY(find_own_pages(*pages_, mapping, range));
    found.guards.add(pages.guards);
    std::ranges::copy(pages.own, std::back_inserter(found.own));
  }
  return found;
}

DepartingMemory::Found DepartingMemory::find_missing(sys::AddressRange piece, const FrozenLook::Changes& seen) const {
  Found found;
  std::vector<sys::AddressRange> missing = missing_.within(piece);
  if (missing.empty()) return found;
  RangeSet nothing;
  nothing.add(seen.absent);
  nothing.add(seen.guards.within(piece));
  for (const sys::AddressRange& range : missing) {
    std::ranges::copy(nothing.outside(range), std::back_inserter(found.own));
  }
  return found;
}

// Guard pages (madvise(2), MADV_GUARD_INSTALL) are no content, and to read one fails. Where writes are tracked a new
// one counts as written until it is protected. `looks`: where they are to be looked for; `now`: those found already.
Result<void> DepartingMemory::follow_guards(sys::AddressRange piece, std::vector<sys::AddressRange> looks, RangeSet now,
                                            PageSender& sender) {
  if (!sys::tells_guard_pages()) return {};
  if (looks.size() > kMostLooks) looks = {piece};
  for (const sys::AddressRange& range : looks) {
    for (const sys::PageRegion& region : TRY(find_guards(*pages_, range))) now.add(region.range);
  }
  std::vector<sys::AddressRange> lifted;
  std::vector<sys::AddressRange> fresh;
  for (const sys::AddressRange& known : guards_.within(piece))
    std::ranges::copy(now.outside(known), std::back_inserter(lifted));
  for (const sys::AddressRange& found : now.within(piece))
    std::ranges::copy(guards_.outside(found), std::back_inserter(fresh));
  TRY(sender.unguard(pid_, lifted));
  TRY(sender.guard(pid_, fresh));
  for (const sys::AddressRange& range : lifted) guards_.remove(range);
  for (const sys::AddressRange& range : fresh) {
    guards_.add(range);
    sent_.remove(range);
    owed_.remove(range);
  }
  return {};
}

Result<void> DepartingMemory::follow_guards_in_owed(const image::Mapping& mapping, PageSender& sender) {
  sys::AddressRange whole{mapping.start(), mapping.end()};
  if (look_) {
    auto guards = look_->guards_in(whole);
    if (guards) return follow_guards(whole, {}, std::move(*guards), sender);
  }
  return follow_guards_only(mapping, sender);
}

Result<void> DepartingMemory::follow_guards_only(const image::Mapping& mapping, PageSender& sender) {
  sys::AddressRange whole{mapping.start(), mapping.end()};
  return follow_guards(whole, {whole}, {}, sender);
}

// Content that the destination has and the program gave up: madvise(MADV_DONTNEED) and the like. It may have read there
// since, and then sees the zero page or the file's.
Result<void> DepartingMemory::find_dropped(const image::Mapping& mapping, sys::AddressRange piece) {
  std::vector<sys::AddressRange> known = sent_.within(piece);
  RangeSet suspected;
  if (is_anonymous(mapping) && !known.empty()) {
    if (known.size() > kMostLooks) known = {piece};
    for (const sys::AddressRange& range : known) {
      for (const sys::PageRegion& region : TRY(find_absent(*pages_, range))) suspected.add(region.range);
    }
    known.clear();
    for (const sys::AddressRange& range : suspected.within(piece))
      std::ranges::copy(sent_.within(range), std::back_inserter(known));
  }
  for (const sys::AddressRange& range : known) {
    RangeSet own;
    own.add(TRY(find_own_pages(*pages_, mapping, range)).own);
    for (const sys::AddressRange& absent : own.outside(range)) dropped_.push_back(in_whole_pages(mapping, absent));
  }
  return {};
}

Result<void> DepartingMemory::send_or_leave(const image::Mapping& mapping, sys::AddressRange range,
                                            PageSender& sender) {
  if (sender.stopped()) {
    postponed_.push_back(range);
    return {};
  }
  std::vector<sys::AddressRange> now{range};
  if (at_once_ != nullptr && is_ordinary(mapping)) {
    now = at_once_->within(range);
    for (const sys::AddressRange& later : at_once_->outside(range)) {
      for (const sys::AddressRange& fresh : owed_.outside(later)) owed_now_.push_back(fresh);
      for (const sys::AddressRange& stale : sent_.within(later)) dropped_.push_back(stale);
    }
  }
  for (const sys::AddressRange& part : now) {
    for (const sys::AddressRange& again : sent_.within(part)) redundant_bytes_ += again.size();
    TRY(sender.send(origin(mapping, part), part));
    queued_.push_back(part);
  }
  return {};
}

Result<size_t> DepartingMemory::leave(Pass pass, const RangeSet& at_once, PageSender& sender) {
  at_once_ = &at_once;
  auto sent = send(pass, sender);
  at_once_ = nullptr;
  std::vector<sys::AddressRange> owed = std::exchange(owed_now_, {});
  TRY(std::move(sent));
  owed_.add(owed);
  TRY(sender.owe(pid_, owed));
  return owed.size();
}

// What is owed already may be written as often as it will; only what is to go at once is sent all the same.
std::vector<sys::AddressRange> DepartingMemory::worth_a_look(const image::Mapping& mapping, sys::AddressRange piece) {
  if (at_once_ == nullptr || !is_ordinary(mapping) || owed_.empty()) return {piece};
  for (const sys::AddressRange& range : at_once_->within(piece)) missing_.add(owed_.within(range));
  if (owed_.has_many_within(piece, many_looks(piece))) return {piece};
  RangeSet parts;
  parts.add(owed_.outside(piece));
  parts.add(at_once_->within(piece));
  std::vector<sys::AddressRange> looks = parts.within(piece);
  if (looks.size() > many_looks(piece)) return {piece};
  return looks;
}

std::vector<sys::AddressRange> DepartingMemory::guards_may_be(sys::AddressRange piece,
                                                              const std::vector<sys::AddressRange>& changed) const {
  RangeSet looks;
  looks.add(guards_.within(piece));
  looks.add(changed);
  for (const sys::AddressRange& range : missing_.within(piece)) looks.remove(range);
  return looks.within(piece);
}

// What is missing is sent as such; what is owed may be written as often as it will.
Result<void> DepartingMemory::send_written(const image::Mapping& mapping, std::span<const sys::AddressRange> written,
                                           PageSender& sender) {
  std::vector<sys::AddressRange> fresh;
  if (at_once_ != nullptr) {
    fresh = owed_.outside(written);
    written = fresh;
  }
  for (const sys::AddressRange& range : written) {
    for (const sys::AddressRange& known : missing_.outside(range)) {
      for (const sys::AddressRange& part : guards_.outside(known)) TRY(send_or_leave(mapping, part, sender));
    }
  }
  return {};
}

Result<void> DepartingMemory::send_piece(const image::Mapping& mapping, sys::AddressRange piece, Pass pass,
                                         PageSender& sender) {
  std::optional<FrozenLook::Changes> seen;
  for (const std::optional<FrozenLook>* look : {&look_, &late_look_}) {
    if (seen || !*look || !is_ordinary(mapping)) continue;
    if (auto changes = (*look)->in(piece)) seen = std::move(*changes);
  }
  std::vector<sys::AddressRange> changed = seen ? std::move(seen->written) : TRY(written(mapping, piece, pass));
  Found found = seen ? find_missing(piece, *seen) : TRY(find_missing(mapping, piece));
  if (seen) {
    found.guards.add(seen->guards.within(piece));
    TRY(follow_guards(piece, {}, std::move(found.guards), sender));
    for (const sys::AddressRange& absent : seen->absent)
      std::ranges::copy(sent_.within(absent), std::back_inserter(dropped_));
  } else {
    TRY(follow_guards(piece, guards_may_be(piece, changed), std::move(found.guards), sender));
    TRY(find_dropped(mapping, piece));
  }
  for (const sys::AddressRange& range : found.own) {
    for (const sys::AddressRange& part : guards_.outside(range)) TRY(send_or_leave(mapping, part, sender));
  }
  TRY(send_written(mapping, changed, sender));
  missing_.remove(piece);
  for (const sys::AddressRange& range : std::exchange(postponed_, {})) missing_.add(range);
  return {};
}

// The end of a pass: pages of zeros that the destination has other content of are dropped there too, and what went away
// while it was to be read, with neighbours that did not, is looked at again in the next pass.
Result<void> DepartingMemory::settle(PageSender& sender) {
  TRY(sender.flush());
  std::vector<sys::AddressRange> zeros = sender.take_zeros();
  std::vector<sys::AddressRange> unread = sender.take_unread();
  for (const sys::AddressRange& range : zeros) {
    for (const sys::AddressRange& stale : sent_.within(range)) dropped_.push_back(stale);
    std::ranges::copy(owed_.within(range), std::back_inserter(dropped_));  // it comes in no other way
  }
  RangeSet now;
  for (const sys::AddressRange& range : std::exchange(queued_, {})) now.add(range);
  for (const sys::AddressRange& range : unread) now.remove(range);
  for (const sys::AddressRange& range : now.within(sys::kEverywhere)) {
    sent_.add(range);
    owed_.remove(range);
  }
  for (const sys::AddressRange& range : zeros) sent_.remove(range);
  for (const sys::AddressRange& range : dropped_) sent_.remove(range);
  for (const sys::AddressRange& range : unread) missing_.add(range);
  return sender.drop(pid_, std::exchange(dropped_, {}));
}

// Whatever the destination has there instead counts as sent, so that it is dropped if nothing follows.
void DepartingMemory::lacks(std::span<const sys::AddressRange> ranges) {
  for (const sys::AddressRange& range : ranges) missing_.add(range);
}

Result<std::vector<sys::AddressRange>> DepartingMemory::own_ranges() const {
  sys::PageMap pages = TRY(sys::PageMap::open(host_pid_));
  std::vector<sys::AddressRange> ranges;
  for (const image::Mapping& mapping : layout_) {
    if (!may_have_own_pages(mapping)) continue;
    OwnPages found = TRY(find_own_pages(pages, mapping, {mapping.start(), mapping.end()}));
    std::ranges::copy(found.own, std::back_inserter(ranges));
  }
  return ranges;
}

}  // namespace godwit::address_space
