#include "address_space/write_tracking.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "sys/pidfd.h"

namespace godwit::address_space {

namespace {

void append(const std::vector<sys::PageRegion>& regions, std::vector<sys::AddressRange>& into) {
  for (const sys::PageRegion& region : regions) into.push_back(region.range);
}

}  // namespace

Result<UniqueFd> make_userfaultfd(freeze::RemoteCalls& calls, int pidfd, FaultsOf whose) {
  freeze::CallBatch make = calls.batch();
  size_t made = make.add(SYS_userfaultfd,
                         {O_CLOEXEC | O_NONBLOCK | (whose == FaultsOf::program ? uint64_t{UFFD_USER_MODE_ONLY} : 0)});
  TRY(calls.run(make));
  TRY(make.all_succeeded("userfaultfd in the program"));
  auto number = static_cast<int>(make.result(made));
  auto taken = sys::pidfd_getfd(pidfd, number);
  freeze::CallBatch close = calls.batch();
  close.add(SYS_close, {static_cast<uint64_t>(number)});
  TRY(calls.run(close));
  return taken;
}

Result<WriteTracking> WriteTracking::attach(freeze::RemoteCalls& calls, pid_t host_pid, int pidfd) {
  UniqueFd fd = TRY(make_userfaultfd(calls, pidfd, FaultsOf::program));
  sys::Userfaultfd faults = TRY(sys::Userfaultfd::for_write_tracking(std::move(fd)));
  return WriteTracking(std::move(faults), TRY(sys::PageMap::open(host_pid)));
}

// What an earlier tracking has left protected would never be reported. Mostly there is nothing of it, and to see that
// takes less than a twentieth of lifting the protection of all.
Result<void> WriteTracking::cover(sys::AddressRange range) const {
  TRY(faults_.track_writes(range));
  constexpr uint64_t kSomething = sys::kPagePresent | sys::kPageSwapped;
  std::vector<sys::AddressRange> left;
  sys::PageQuery query{
      .inverted = sys::kPageWritten, .all_of = sys::kPageWritten, .any_of = kSomething, .report = kSomething};
  TRY(find(range, query, Protect::no, left));
  return left.empty() ? Result<void>() : faults_.lift(range);
}

Result<void> WriteTracking::find(sys::AddressRange range, sys::PageQuery query, Protect protect,
                                 std::vector<sys::AddressRange>& into) const {
  query.protect = protect == Protect::yes;
  query.tracked = true;
  std::vector<sys::PageRegion> regions;
  TRY(pages_.scan(range, query, regions));
  append(regions, into);
  return {};
}

Result<void> WriteTracking::written(sys::AddressRange range, Protect protect,
                                    std::vector<sys::AddressRange>& into) const {
  // Both masks just this: the kernel's fast form (fs/proc/task_mmu.c, pagemap_scan_pmd_entry).
  return find(range, {.all_of = sys::kPageWritten, .report = sys::kPageWritten}, protect, into);
}

// Where nothing is, not even the mark that protecting leaves, something may have been written and forgotten since.
Result<void> WriteTracking::written_in_pool(sys::AddressRange range, Protect protect,
                                            std::vector<sys::AddressRange>& into) const {
  TRY(find(range, {.all_of = sys::kPageWritten, .report = 0}, protect, into));
  std::vector<sys::AddressRange> unmarked;
  constexpr uint64_t kSomething = sys::kPagePresent | sys::kPageSwapped;
  TRY(find(range, {.inverted = kSomething, .all_of = kSomething, .report = 0}, Protect::no, unmarked));
  for (const sys::AddressRange& nothing : unmarked) {
    if (protect == Protect::yes) TRY(faults_.protect(nothing));
    into.push_back(nothing);
  }
  return {};
}

Result<void> WriteTracking::written_there(sys::AddressRange range, Protect protect,
                                          std::vector<sys::AddressRange>& into) const {
  return find(range, {.all_of = sys::kPageWritten, .any_of = sys::kPagePresent | sys::kPageSwapped, .report = 0},
              protect, into);
}

Result<std::vector<sys::PageRegion>> WriteTracking::changes(sys::AddressRange range) const {
  sys::PageQuery query{.inverted = sys::kPagePresent, .any_of = sys::kPagePresent | sys::kPageWritten, .tracked = true};
  query.report = sys::kPagePresent | sys::kPageWritten | sys::kPageSwapped | sys::kPageZero;
  if (sys::tells_guard_pages()) query.report |= sys::kPageGuard;
  std::vector<sys::PageRegion> regions;
  TRY(pages_.scan(range, query, regions));
  return regions;
}

Result<void> WriteTracking::written_own(sys::AddressRange range, Protect protect,
                                        std::vector<sys::AddressRange>& into) const {
  return find(range,
              {.inverted = sys::kPageFile | sys::kPageZero,
               .all_of = sys::kPageFile | sys::kPageZero | sys::kPageWritten,
               .any_of = sys::kPagePresent | sys::kPageSwapped,
               .report = 0},
              protect, into);
}

}  // namespace godwit::address_space
