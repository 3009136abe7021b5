#include "migration/skeleton.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <array>
#include <ranges>
#include <thread>

#include "address_space/layout.h"
#include "address_space/write_tracking.h"
#include "freeze/process_list.h"
#include "proc/maps.h"
#include "sys/child_process.h"
#include "sys/namespaces.h"
#include "sys/ptrace.h"
#include "sys/text_file.h"
#include "sys/urgency.h"

namespace godwit::migration {

namespace {

using freeze::CallBatch;
using freeze::RemoteAddress;
using freeze::RemoteCalls;

constexpr uint64_t kRoomAroundRegion = uint64_t{80} << 20;
constexpr size_t kRangesAtOnce = 512;  // of a batch

sys::Deadline patience() { return std::chrono::steady_clock::now() + std::chrono::seconds(10); }

// godwit-init, stopped and traced while the scope lasts.
class BorrowedInit {
 public:
  static Result<BorrowedInit> borrow(pid_t host_pid) {
    TRY(sys::ptrace_seize(host_pid, PTRACE_O_TRACESYSGOOD));
    BorrowedInit init(host_pid);
    TRY(sys::ptrace_interrupt(host_pid));
    for (int passed = 0; passed < 16; ++passed) {
      sys::Stop stop = TRY(sys::wait_for_stop(host_pid, patience()));
      if (stop.kind == sys::Stop::Kind::interrupt) return init;
      if (stop.kind == sys::Stop::Kind::ended) return error(ErrorKind::gone, "godwit-init ended");
      TRY(sys::ptrace_continue(host_pid, stop.kind == sys::Stop::Kind::signal ? stop.signal : 0));
    }
    return error(ErrorKind::retry, "godwit-init does not stop");
  }
  ~BorrowedInit() {
    if (host_pid_ != 0) (void)sys::ptrace_detach(host_pid_);  // fails only when it is gone
  }
  BorrowedInit(BorrowedInit&& other) noexcept : host_pid_(std::exchange(other.host_pid_, 0)) {}
  BorrowedInit& operator=(BorrowedInit&&) = delete;

 private:
  explicit BorrowedInit(pid_t host_pid) : host_pid_(host_pid) {}
  pid_t host_pid_;
};

Result<image::AddressSpace> layout_of_init(pid_t host_pid, RemoteAddress& vdso) {
  image::AddressSpace space;
  std::string text = TRY(sys::read_text("/proc/" + std::to_string(host_pid) + "/maps"));
  for (const proc::MapEntry& entry : TRY(proc::parse_maps(text))) {
    if (entry.start >= address_space::kAddressLimit) continue;
    if (entry.name == "[vdso]") vdso = RemoteAddress{entry.start};
    image::Mapping* mapping = space.add_mappings();
    mapping->set_start(entry.start);
    mapping->set_end(entry.end);
  }
  if (value(vdso) == 0) return error(ErrorKind::unsupported, "godwit-init has no vDSO");
  return space;
}

}  // namespace

Result<void> Skeleton::adapt(const image::LogicalHost& host) {
  if (tree_ && coprocess::ProcessTree::can_become(shape_, host)) {
    TRY(tree_->become(shape_, host));
    auto ended = [&](const auto& entry) { return !tree_->members().contains(entry.first); };
    std::erase_if(memories_, ended);
    std::erase_if(files_, ended);
    std::erase_if(fresh_, ended);
    std::erase_if(unplaced_, ended);
  } else {
    if (tree_) TRY(discard());
    TRY(build(host));
  }
  shape_ = host;
  for (const image::Process& process : host.processes()) {
    if (process.zombie()) continue;
    auto memory = memories_.find(process.pid());
    if (memory == memories_.end()) {
      memory = memories_.emplace(process.pid(), address_space::SkeletonMemory(tree_->calls(process.pid()))).first;
    }
    auto lost = TRY(memory->second.adapt(process.address_space(), sources_)
                        .within("memory of process " + std::to_string(process.pid())));
    forget_unplaced(process.pid(), lost);
    std::ranges::move(lost, std::back_inserter(lost_[process.pid()]));
    if (filling_ && !fresh_.contains(process.pid())) TRY(prepare_filling(process));
    TRY(tree_->make_room_for_descriptors(process));
  }
  return {};
}

Result<void> Skeleton::build(const image::LogicalHost& host) {
  RemoteAddress vdso{};
  image::AddressSpace init_space = TRY(layout_of_init(init_.host_pid, vdso));
  std::vector<const image::AddressSpace*> spaces{&init_space};
  for (const image::Process& process : host.processes()) {
    TRY(address_space::check_layout(process.address_space()));
    spaces.push_back(&process.address_space());
  }
  RemoteAddress gap = TRY(address_space::find_common_gap(spaces, kRoomAroundRegion));
  BorrowedInit borrowed = TRY(BorrowedInit::borrow(init_.host_pid));
  if (!shared_) shared_.emplace(TRY(freeze::SharedRegion::create(CallBatch::kRegionBytes)));
  auto opened = RemoteCalls::open_shared(init_.host_pid, vdso, gap, *shared_, init_.worker_pidfd_number);
  bool is_shared = opened.has_value();
  // Where memfds may not be executed (sysctl vm.memfd_noexec) every batch is copied.
  RemoteCalls calls = is_shared ? std::move(*opened) : TRY(RemoteCalls::open(init_.host_pid, vdso, gap));
  region_ = {calls.region(), is_shared ? shared_->bytes().data() : nullptr};
  tree_ = TRY(coprocess::ProcessTree::create(init_, region_, host));
  processor_ = sys::processor_here();
  for (auto& [pid, member] : tree_->members()) {
    for (pid_t thread : member.host_threads) sys::make_urgent(thread, processor_);
  }
  return calls.close();
}

// Ends what was built. One by one: after a write to cgroup.kill, Linux 6.18 also kills what is cloned into that cgroup
// from another one later (kernel/cgroup/cgroup.c, cgroup_post_fork compares the counters of two cgroups).
Result<void> Skeleton::discard() {
  sys::Deadline deadline = patience();
  for (auto& [pid, member] : tree_->members()) (void)sys::send_signal(member.host_pid, SIGKILL);  // it may have ended
  for (auto& [pid, member] : tree_->members()) {
    // The main thread last: its end is told when all others have been taken.
    for (pid_t thread : std::views::reverse(member.host_threads)) {
      auto ended = sys::wait_for_stop(thread, patience());
      bool gone = !ended ? ended.error().kind == ErrorKind::gone : ended->kind == sys::Stop::Kind::ended;
      if (!gone) return error(ErrorKind::bug, "a skeleton does not end");
    }
  }
  for (auto& [pid, member] : tree_->members()) lost_[pid].push_back(sys::kEverywhere);
  files_.clear();
  fresh_.clear();
  unplaced_.clear();
  memories_.clear();
  tree_.reset();
  // Their numbers are free again when godwit-init has waited for them.
  while (!TRY(freeze::list_children(init_.host_pid)).empty()) {
    if (std::chrono::steady_clock::now() > deadline) return error(ErrorKind::bug, "godwit-init does not reap");
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return {};
}

Result<const sys::MemoryFile*> Skeleton::memory_file(pid_t pid) {
  auto known = files_.find(pid);
  if (known != files_.end()) return &known->second;
  auto member = tree_->members().find(pid);
  if (member == tree_->members().end()) return error(ErrorKind::corrupt, "pages of a process that is not there");
  return &files_.emplace(pid, TRY(sys::MemoryFile::open(member->second.host_pid))).first->second;
}

std::string Skeleton::place_of(pid_t pid, uint64_t address) const {
  auto memory = memories_.find(pid);
  return "process " + std::to_string(pid) + ", " +
         (memory == memories_.end() ? "without a layout" : memory->second.what_is_at(address));
}

Result<void> Skeleton::write(pid_t pid, uint64_t address, std::span<const std::byte> bytes) {
  std::unique_lock lock(putting_);
  const sys::MemoryFile* memory = TRY(memory_file(pid));
  forget_unplaced(pid, std::array{sys::AddressRange{address, address + bytes.size()}});
  auto fresh = fresh_.find(pid);
  lock.unlock();
  auto written = fresh == fresh_.end() ? memory->write(address, bytes) : fresh->second.write(*memory, address, bytes);
  if (written || !address_space::UnplacedPages::are(written.error())) return written;
  lock.lock();
  return unplaced_[pid].write(*memory, address, bytes);
}

// Scattered pages of memory that is there go in one system call, which takes half as long for each. Returns how many of
// the ranges are done; the others are for write().
size_t Skeleton::write_scattered(pid_t pid, std::span<const sys::AddressRange> ranges,
                                 std::span<const std::byte> bytes) {
  {
    std::lock_guard lock(putting_);
    if (ranges.size() == 1 || fresh_.contains(pid) || unplaced_.contains(pid) || !tree_) return 0;
  }
  auto member = tree_->members().find(pid);
  if (member == tree_->members().end()) return 0;
  auto written = sys::write_memory(member->second.host_pid, ranges, bytes);
  size_t done = 0;
  for (size_t left = written.value_or(0); done < ranges.size() && left >= ranges[done].size(); ++done) {
    left -= ranges[done].size();
  }
  return done;
}

Result<void> Skeleton::put(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes) {
  size_t done = write_scattered(pid, ranges, bytes);
  for (const sys::AddressRange& range : ranges.first(done)) bytes = bytes.subspan(range.size());
  ranges = ranges.subspan(done);
  for (const sys::AddressRange& range : ranges) {
    auto written = write(pid, range.start, bytes.first(range.size()));
    if (!written) return std::unexpected(std::move(written.error()).within(place_of(pid, range.start)));
    bytes = bytes.subspan(range.size());
  }
  return {};
}

Result<void> Skeleton::read(pid_t pid, uint64_t address, std::span<std::byte> into) {
  if (!tree_) return error(ErrorKind::corrupt, "pages of a process that is not there");
  std::unique_lock lock(putting_);
  const sys::MemoryFile* memory = TRY(memory_file(pid));
  lock.unlock();
  return memory->read(address, into);
}

Result<void> Skeleton::place_rest() {
  for (auto& [pid, pages] : unplaced_) TRY(pages.place(*TRY(memory_file(pid))));
  unplaced_.clear();
  for (auto& [pid, memory] : memories_) TRY(memory.protect_pool());
  return {};
}

void Skeleton::forget_unplaced(pid_t pid, std::span<const sys::AddressRange> ranges) {
  auto unplaced = unplaced_.find(pid);
  if (unplaced == unplaced_.end()) return;
  for (const sys::AddressRange& range : ranges) unplaced->second.forget(range);
  if (unplaced->second.empty()) unplaced_.erase(unplaced);
}

Result<void> Skeleton::drop(pid_t pid, std::span<const sys::AddressRange> ranges) {
  if (!tree_ || !tree_->members().contains(pid))
    return error(ErrorKind::corrupt, "pages of a process that is not there");
  forget_unplaced(pid, ranges);
  constexpr uint64_t kDontNeedEvenIfLocked = 24;  // MADV_DONTNEED_LOCKED, since Linux 5.18
  RemoteCalls calls = tree_->calls(pid);
  CallBatch batch = calls.batch();
  for (const sys::AddressRange& range : ranges) {
    batch.add(SYS_madvise, {range.start, range.size(), kDontNeedEvenIfLocked});
  }
  TRY(calls.run(batch));
  return batch.all_succeeded("giving up pages");
}

Result<void> Skeleton::with_holes(pid_t pid, std::span<const sys::AddressRange> holes,
                                  const std::function<Result<void>()>& work) {
  auto allow_huge_pages = [&](bool allowed) -> Result<void> {
    RemoteCalls calls = tree_->calls(pid);
    CallBatch batch = calls.batch();
    batch.add(SYS_prctl, {PR_SET_THP_DISABLE, allowed ? 0U : 1U, 0, 0, 0});
    TRY(calls.run(batch));
    return batch.all_succeeded("prctl(PR_SET_THP_DISABLE)");
  };
  TRY(allow_huge_pages(false));
  for (; !holes.empty(); holes = holes.subspan(std::min(holes.size(), kRangesAtOnce))) {
    TRY(drop(pid, holes.first(std::min(holes.size(), kRangesAtOnce))));
  }
  TRY(work());
  return allow_huge_pages(true);
}

Result<void> Skeleton::guard(pid_t pid, std::span<const sys::AddressRange> ranges, bool guarded) {
  auto memory = memories_.find(pid);
  if (memory == memories_.end()) return error(ErrorKind::corrupt, "guard pages of a process that is not there");
  return memory->second.guard(ranges, guarded);
}

Result<void> Skeleton::prepare_filling(const image::Process& process) {
  UniqueFd pidfd = TRY(sys::open_pidfd(tree_->members().at(process.pid()).host_pid));
  RemoteCalls calls = tree_->calls(process.pid());
  auto faults = TRY(sys::Userfaultfd::for_filling(
      TRY(address_space::make_userfaultfd(calls, pidfd.get(), address_space::FaultsOf::program))));
  fresh_.emplace(process.pid(), TRY(address_space::FreshMemory::of(std::move(faults), process.address_space())));
  return {};
}

void Skeleton::content_is_there() {
  fresh_.clear();
  filling_ = false;
}

Result<sys::Userfaultfd> Skeleton::make_faults(pid_t pid) {
  UniqueFd pidfd = TRY(sys::open_pidfd(tree_->members().at(pid).host_pid));
  RemoteCalls calls = tree_->calls(pid);
  return sys::Userfaultfd::for_missing_pages(
      TRY(address_space::make_userfaultfd(calls, pidfd.get(), address_space::FaultsOf::program_and_kernel)));
}

RemoteCalls Skeleton::calls(pid_t pid, size_t thread) const {
  return RemoteCalls::adopt(tree_->members().at(pid).host_threads.at(thread), region_);
}

}  // namespace godwit::migration
