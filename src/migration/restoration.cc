#include "migration/restoration.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <chrono>
#include <thread>

#include "address_space/layout.h"
#include "init/protocol.h"
#include "objects/scheduling.h"
#include "objects/tcp_rest.h"
#include "objects/thread_state.h"
#include "proc/status.h"
#include "sys/file.h"
#include "sys/huge_pages.h"
#include "sys/namespaces.h"
#include "sys/ptrace.h"
#include "sys/scheduling.h"
#include "sys/text_file.h"

namespace godwit::migration {

namespace {

using freeze::CallBatch;
using freeze::RemoteCalls;

objects::Owner owner_of(const worker::JobPlace& place) {
  return {place.uid(), place.gid(), {place.groups().begin(), place.groups().end()}};
}

}  // namespace

Restoration::Restoration(const coprocess::LogicalHost& host, const sys::MountNamespace& mounts, files::Opener& opener,
                         const worker::JobPlace& place)
    : host_(host),
      mounts_(mounts),
      opener_(opener),
      place_(place),
      ready_(opener),
      cgroup_(place.cgroup() + "/procs"),
      huge_pages_for_all_(sys::huge_pages_for_all()),
      skeleton_({host.init_pid(), init::kWorkerPidfd, host.procs_cgroup()}, mapping_sources()),
      shared_(opener) {}

address_space::MappingSources Restoration::mapping_sources() {
  return {[this](uint32_t file, bool writable) { return file_fd(file, writable); },
          [this](uint32_t object, bool writable) { return shared_memory_fd(object, writable); }, init::kWorkerPidfd};
}

Result<int> Restoration::file_fd(uint32_t file, bool writable) {
  auto known = mapped_files_.find({file, writable});
  if (known != mapped_files_.end()) return known->second.get();
  UniqueFd fd = TRY(opener_.open(file, writable ? O_RDWR : O_RDONLY));
  return mapped_files_.emplace(std::pair(file, writable), std::move(fd)).first->second.get();
}

Result<int> Restoration::shared_memory_fd(uint32_t object, bool writable) {
  auto file = shared_.file_of(object);
  return file ? file_fd(*file, writable) : shared_.fd_of(object);
}

address_space::PageReceiver Restoration::page_sinks(transport::Connection& connection) {
  return {connection, [this](pid_t pid, auto ranges, auto bytes) { return put(pid, ranges, bytes); },
          [this](uint32_t object) -> Result<int> { return shared_.is_in_place(object) ? -1 : shared_.fd_of(object); },
          [this](pid_t pid, std::span<const sys::AddressRange> ranges) {
            owed_no_more(pid, ranges);
            return skeleton_.drop(pid, ranges);
          }};
}

address_space::PresentPages::ReadMemory Restoration::page_reader() {
  return [this](address_space::PageOwner owner, uint64_t at, std::span<std::byte> into) -> Result<void> {
    if (owner.is_object()) return sys::read_at(TRY(shared_.fd_of(owner.id)), at, into);
    return skeleton_.read(owner.number(), at, into);
  };
}

Result<void> Restoration::put(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes) {
  std::unique_lock lock(putting_);
  owed_no_more(pid, ranges);
  lock.unlock();
  return skeleton_.put(pid, ranges, bytes);
}

Result<void> Restoration::owe(pid_t pid, std::span<const sys::AddressRange> ranges) {
  for (const sys::AddressRange& range : ranges) owed_[pid].add(range);
  return {};
}

void Restoration::owed_no_more(pid_t pid, std::span<const sys::AddressRange> ranges) {
  auto owed = owed_.find(pid);
  if (owed == owed_.end()) return;
  for (const sys::AddressRange& range : ranges) owed->second.received(range);
  if (owed->second.empty()) owed_.erase(owed);
}

bool Restoration::may_be_huge(const image::Mapping& mapping) const {
  return huge_pages_for_all_ || (mapping.advice() & address_space::kHugePages) != 0;
}

Result<void> Restoration::make_faults_ready() {
  for (const image::Process& process : host_state_->processes()) {
    if (process.address_space().mappings().empty()) continue;  // it has ended
    pid_t host_pid = skeleton_.members().at(process.pid()).host_pid;
    ready_faults_.emplace(host_pid, TRY(skeleton_.make_faults(process.pid())));
  }
  return {};
}

Result<void> Restoration::watch_missing(address_space::FaultServer& server) {
  for (const image::Process& process : host_state_->processes()) {
    auto owed = owed_.extract(process.pid());
    if (owed.empty()) continue;
    std::vector<sys::AddressRange> mappings, holes;
    for (const image::Mapping& mapping : process.address_space().mappings()) {
      sys::AddressRange range{mapping.start(), mapping.end()};
      bool watched =
          mapping.kind() == image::Mapping::ANONYMOUS && mapping.page_bytes() == 0 && owed.mapped().owes_in(range);
      if (!watched) continue;
      mappings.push_back(range);
      if (may_be_huge(mapping)) std::ranges::copy(owed.mapped().within(range), std::back_inserter(holes));
    }
    pid_t host_pid = skeleton_.members().at(process.pid()).host_pid;
    auto watch = [&]() -> Result<void> {
      auto ready = ready_faults_.extract(host_pid);
      sys::Userfaultfd faults = ready ? std::move(ready.mapped()) : TRY(skeleton_.make_faults(process.pid()));
      return server.watch(process.pid(), std::move(faults), TRY(sys::PageMap::open(host_pid)), mappings,
                          std::move(owed.mapped()));
    };
    TRY(holes.empty() ? watch() : skeleton_.with_holes(process.pid(), holes, watch));
  }
  if (!owed_.empty()) return error(ErrorKind::corrupt, "pages are owed to a process that is not there");
  ready_faults_.clear();
  return {};
}

Result<void> Restoration::prepare(const image::LogicalHost& plan) {
  processors_ = TRY(sys::get_affinity(0));
  std::string status = TRY(sys::read_text("/proc/" + std::to_string(host_.init_pid()) + "/status"));
  root_credentials_ = objects::credentials_of(TRY(proc::parse_status(status)));
  TRY(objects::read_process_ahead(host_.init_pid(), inherited_));
  accept_queue_ = objects::ready_accept_queue(plan);
  TRY(correct(plan));
  make_ready(plan);
  return {};
}

Result<void> Restoration::correct(const image::LogicalHost& state) {
  state_received_ = std::chrono::steady_clock::now();
  host_state_ = &state;
  TRY(opener_.update(state));
  TRY(shared_.adapt(state));
  TRY(skeleton_.adapt(state));
  for (const auto& [pid, lost] : skeleton_.take_lost()) owed_no_more(pid, lost);
  std::erase_if(owed_, [&](const auto& entry) { return !skeleton_.members().contains(entry.first); });
  return {};
}

Result<void> Restoration::run_batch(pid_t pid, size_t thread, CallBatch& batch, const char* what) {
  RemoteCalls calls = skeleton_.calls(pid, thread);
  TRY(calls.run(batch));
  return batch.all_succeeded(what).within("process " + std::to_string(pid));
}

// Executable, limits of the address space, root and working directory, while only the worker's pidfd is open in the
// process.
Result<void> Restoration::set_places(const image::Process& process) {
  RemoteCalls calls = skeleton_.calls(process.pid(), 0);
  constexpr uint64_t pidfd = init::kWorkerPidfd;
  auto take = [&](CallBatch& batch, int fd) {
    return batch.add(SYS_pidfd_getfd, {pidfd, static_cast<uint64_t>(fd), 0});
  };
  int executable = TRY(file_fd(process.address_space().executable_file(), false));
  UniqueFd cwd = TRY(opener_.open(process.cwd_file(), O_PATH | O_DIRECTORY));
  UniqueFd root = TRY(opener_.open(process.root_file(), O_PATH | O_DIRECTORY));
  CallBatch batch = calls.batch();
  batch.add(SYS_close_range, {0, pidfd - 1, 0});  // what godwit-init had open
  batch.add(SYS_close_range, {pidfd + 1, ~uint32_t{0}, 0});
  take(batch, executable);  // becomes descriptor 0, the lowest
  address_space::SkeletonMemory::add_limits(batch, process.address_space(), 0);
  batch.add(SYS_close, {0});
  if (!opener_.is_job_root(process.root_file())) {
    size_t taken = take(batch, root.get());
    batch.add_using(SYS_fchdir, {}, 0, taken);
    batch.add(SYS_chroot, {value(batch.put_string("."))});
    batch.add_using(SYS_close, {}, 0, taken);
  }
  size_t taken = take(batch, cwd.get());
  batch.add_using(SYS_fchdir, {}, 0, taken);
  batch.add_using(SYS_close, {}, 0, taken);
  return run_batch(process.pid(), 0, batch, "executable, root and working directory");
}

// A session leader takes its terminal back, and says which group is in the foreground.
Result<void> Restoration::take_terminal(const image::Process& process) {
  bool leads = process.session() == process.pid() && process.controlling_terminal() > 0;
  if (!leads) return {};
  RemoteCalls calls = skeleton_.calls(process.pid(), 0);
  CallBatch batch = calls.batch();
  std::string path = "/dev/pts/" + std::to_string(process.controlling_terminal() - 1);
  constexpr uint64_t kWorkingDirectory = static_cast<uint64_t>(AT_FDCWD);
  size_t terminal =
      batch.add(SYS_openat, {kWorkingDirectory, value(batch.put_string(path.c_str())), O_RDWR | O_NOCTTY});
  batch.add_using(SYS_ioctl, {0, TIOCSCTTY, 0}, 0, terminal);
  if (process.foreground_group() > 0) {
    auto group = batch.put_value(pid_t{process.foreground_group()});
    batch.add_using(SYS_ioctl, {0, TIOCSPGRP, value(group)}, 0, terminal);
  }
  batch.add_using(SYS_close, {}, 0, terminal);
  return run_batch(process.pid(), 0, batch, "controlling terminal");
}

Result<void> Restoration::install_descriptors(const image::Process& process) {
  auto run = [&](CallBatch& batch) { return run_batch(process.pid(), 0, batch, "descriptors"); };
  auto make = [&] { return skeleton_.calls(process.pid(), 0).batch(); };
  return descriptors_->install(process, init::kWorkerPidfd, make, run);
}

Result<void> Restoration::restore_thread(const image::Process& process, size_t index) {
  const image::Thread& thread = process.threads(static_cast<int>(index));
  RemoteCalls calls = skeleton_.calls(process.pid(), index);
  CallBatch batch = calls.batch();
  TRY(objects::add_thread_calls(batch, process.pid(), thread, root_credentials_));
  TRY(calls.run(batch));
  return batch.all_succeeded("thread state").within("thread " + std::to_string(thread.tid()));
}

// Signals that the making of the tree left behind are not the program's.
Result<void> Restoration::drop_signals(pid_t pid) {
  pid_t main_thread = skeleton_.members().at(pid).host_pid;
  bool none = TRY(sys::peek_pending_signals(main_thread, true)).empty() &&
              TRY(sys::peek_pending_signals(main_thread, false)).empty();
  if (none) return {};
  CallBatch drain = skeleton_.calls(pid, 0).batch();
  auto every = drain.put_value(~uint64_t{0});
  auto at_once = drain.put_value(timespec{0, 0});
  constexpr int kMostLeftBehind = 64;
  for (int i = 0; i < kMostLeftBehind; ++i) {
    drain.add(SYS_rt_sigtimedwait, {value(every), 0, value(at_once), sizeof(uint64_t)});
  }
  return skeleton_.calls(pid, 0).run(drain);
}

Result<void> Restoration::restore_process(const image::Process& process) {
  TRY(drop_signals(process.pid()));
  for (int i = 0; i < process.threads_size(); ++i) TRY(restore_thread(process, static_cast<size_t>(i)));
  auto elapsed = std::chrono::steady_clock::now() - state_received_;
  CallBatch batch = skeleton_.calls(process.pid(), 0).batch();
  TRY(objects::add_process_calls(batch, process, elapsed, objects::kernel_restores_timer_ids()));
  return run_batch(process.pid(), 0, batch, "process state");
}

// The last touch: our code goes, the program's registers come.
Result<void> Restoration::set_registers(const image::Process& process) {
  address_space::SkeletonMemory& memory = skeleton_.memory(process.pid());
  TRY(memory.calls().unmap_only(memory.vdso()));
  const auto& threads = skeleton_.members().at(process.pid()).host_threads;
  for (size_t i = 0; i < threads.size(); ++i) {
    const image::Thread& thread = process.threads(static_cast<int>(i));
    TRY(objects::restore_thread(threads[i], thread));
    TRY(freeze::resume_in_progress(threads[i], thread, memory.vdso(),
                                   std::chrono::steady_clock::now() - state_received_));
  }
  return objects::restore_process(threads.front(), process, inherited_, owner_of(place_));
}

Result<void> Restoration::make_objects(const image::LogicalHost& state, std::span<const objects::ConsoleFd> ends,
                                       objects::TunEnds& tun_ends) {
  state_ = &state;
  objects::Owner owner = owner_of(place_);
  for (const image::Process& process : state.processes()) {
    if (process.zombie()) continue;
    TRY(objects::check_process(process));
    for (const image::Thread& thread : process.threads()) {
      TRY(objects::check_thread(thread, owner, root_credentials_));
    }
  }
  auto elapsed = std::chrono::steady_clock::now() - state_received_;
  auto host_pid = [&](pid_t pid) -> pid_t {
    if (pid == 1) return host_.init_pid();
    auto member = skeleton_.members().find(pid);
    return member == skeleton_.members().end() ? 0 : member->second.host_pid;
  };
  descriptors_.emplace(
      TRY(objects::DescriptorRestore::create(state, tun_ends, accept_queue_, opener_, ready_, mounts_, shared_, ends,
                                             elapsed, {owner.uid, owner.gid, owner.groups}, host_pid)));
  ready_.clear();
  for (const image::Process& process : state.processes()) {
    if (process.zombie()) continue;
    TRY(set_places(process));
    TRY(take_terminal(process));
  }
  for (const image::Process& process : state.processes()) {
    if (!process.zombie()) TRY(install_descriptors(process));
  }
  return {};
}

Result<void> Restoration::restore(const image::LogicalHost& state) {
  for (const image::Process& process : state.processes()) {
    if (!process.zombie()) TRY(restore_process(process));
  }
  for (const image::Process& process : state.processes()) {
    if (!process.zombie()) TRY(set_registers(process));
  }
  return shared_.seal(state);
}

// Complete, not running, and safe against our own end: from tracing into the frozen cgroup. Threads that take locks
// first stay traced; what our end would do is the same.
Result<void> Restoration::hold_frozen() {
  TRY(descriptors_->before_switchover());
  TRY(objects::note(place_.run_directory(), descriptors_->tcp_rest()));
  TRY(sys::write_text(cgroup_ + "/cgroup.freeze", "1"));
  return locks_follow() ? Result<void>() : release_threads();
}

Result<void> Restoration::release_threads() {
  for (const image::Process& process : state_->processes()) {
    if (process.zombie()) continue;
    const auto& threads = skeleton_.members().at(process.pid()).host_threads;
    for (size_t i = 0; i < threads.size(); ++i) {
      bool stop = process.stopped() && i == 0;
      TRY(sys::ptrace_detach(threads[i], stop ? SIGSTOP : 0));
      TRY(objects::restore_affinity(threads[i], process.threads(static_cast<int>(i)).scheduling(), processors_));
    }
  }
  return {};
}

// Its registers are the program's by now.
Result<void> Restoration::in_process(pid_t pid, const std::function<Result<void>(RemoteCalls&)>& work) {
  pid_t thread = skeleton_.members().at(pid).host_threads.front();
  RemoteCalls calls = TRY(RemoteCalls::open(thread, skeleton_.memory(pid).vdso()));
  TRY(work(calls));
  return calls.close();
}

Result<std::string> Restoration::take_locks(std::chrono::steady_clock::time_point until,
                                            const std::function<void()>& shared) {
  constexpr std::chrono::milliseconds kBetween(2);
  objects::LockSet& locks = descriptors_->late_locks();
  objects::InProcess inside = [this](pid_t pid, const auto& work) { return in_process(pid, work); };
  if (locks.in_processes()) TRY(sys::write_text(cgroup_ + "/cgroup.freeze", "0"));
  TRY(locks.share(inside));
  shared();
  TRY(locks.take(inside));
  while (!locks.lacking().empty() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kBetween);
    TRY(locks.share(inside));  // whoever tries in vain to make a flock(2) exclusive has lost it
    TRY(locks.take(inside));
  }
  return locks.lacking();
}

Result<void> Restoration::run() {
  auto visible = descriptors_->after_switchover();
  auto released = locks_follow() ? release_threads() : Result<void>();
  TRY(sys::write_text(cgroup_ + "/cgroup.freeze", "0"));  // whatever became of that: this copy is the process
  objects::forget_note(place_.run_directory());
  descriptors_.reset();  // what the program closes now is closed
  TRY(std::move(released));
  return visible;
}

void Restoration::collapse_huge_pages() const {
  if (!sys::huge_pages_allowed()) return;
  constexpr uint64_t kMask = sys::kHugePageBytes - 1;
  for (const image::Process& process : state_->processes()) {
    if (process.zombie()) continue;
    auto pidfd = sys::open_pidfd(skeleton_.members().at(process.pid()).host_pid);
    if (!pidfd) continue;  // it has ended
    for (const image::Mapping& mapping : process.address_space().mappings()) {
      sys::AddressRange whole{(mapping.start() + kMask) & ~kMask, mapping.end() & ~kMask};
      bool wanted = mapping.kind() == image::Mapping::ANONYMOUS && (mapping.advice() & address_space::kHugePages) != 0;
      if (wanted && whole.start < whole.end) (void)sys::collapse_to_huge_pages(pidfd->get(), whole);
    }
  }
}

}  // namespace godwit::migration
