#include "migration/inventory.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "address_space/protection_keys.h"
#include "forwarding/job_link.h"
#include "freeze/remote_calls.h"
#include "freeze/system_call_restart.h"
#include "objects/pending_connect.h"
#include "objects/process_state.h"
#include "objects/thread_state.h"
#include "proc/stat.h"
#include "proc/status.h"
#include "sys/file.h"
#include "sys/namespaces.h"
#include "sys/text_file.h"

namespace godwit::migration {

namespace {

using freeze::CallBatch;
using freeze::RemoteCalls;

std::string proc_path(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

worker::Refusal process_refusal(const image::Process& process, std::string code, std::string what, std::string remedy) {
  worker::Refusal refusal;
  refusal.set_code(std::move(code));
  refusal.set_pid(process.pid());
  refusal.set_process(process.name());
  refusal.set_fd(-1);
  refusal.set_what(std::move(what));
  refusal.set_remedy(std::move(remedy));
  return refusal;
}

bool in_image(const image::LogicalHost& host, pid_t pid) {
  return std::any_of(host.processes().begin(), host.processes().end(), [&](auto& p) { return p.pid() == pid; });
}

}  // namespace

objects::GivenInterface given_interface(const worker::JobPlace& place) {
  return {place.network().address() == 0 ? 0 : forwarding::kJobInterface};
}

Inventory::Inventory(pid_t init_host_pid, objects::ConsoleEnds consoles, files::FileTable files,
                     const freeze::KernelTasks* tasks, objects::SocketCapture& sockets,
                     objects::NetworkSettings& network)
    : init_host_pid_(init_host_pid),
      consoles_(std::move(consoles)),
      files_(std::move(files)),
      tasks_(tasks),
      layouts_(files_, shared_),
      sockets_(sockets),
      descriptors_(files_, shared_, consoles_, sockets, tasks),
      network_(network) {}

// Who a process is: names, relations, and what its end will look like. Returns its whole status.
Result<proc::Status> Inventory::add_identity(const freeze::ListedProcess& listed, image::Process& into,
                                             std::vector<worker::Refusal>* refusals) {
  std::string status_text = TRY(sys::read_text(proc_path(listed.host_pid, "status")));
  proc::Status status = TRY(proc::parse_status(status_text));
  std::string stat_text = TRY(sys::read_text(proc_path(listed.host_pid, "stat")));
  proc::Stat stat = TRY(proc::parse_stat(stat_text));
  into.set_pid(listed.pid);
  into.set_parent_pid(listed.parent_pid);
  into.set_process_group(status.process_groups.empty() ? 0 : status.process_groups.back());
  into.set_session(status.sessions.empty() ? 0 : status.sessions.back());
  into.set_name(status.name);
  into.set_zombie(listed.zombie);
  into.set_exit_code(listed.zombie ? stat.exit_code : 0);
  into.set_exit_signal(stat.exit_signal);
  into.set_has_executed(stat.has_executed());
  if (stat.terminal != 0) {
    constexpr int kFirstPtyMajor = 136;
    int major = stat.terminal >> 8 & 0xfff;
    into.set_controlling_terminal((major - kFirstPtyMajor) * 256 + (stat.terminal & 0xff) + 1);
    if (listed.pid == into.session()) into.set_foreground_group(TRY(foreground_group(listed.host_pid, stat)));
  }
  if (refusals == nullptr) return status;
  if (status.seccomp != 0) {
    refusals->push_back(process_refusal(into, "process.seccomp", "a system call filter (seccomp)",
                                        "start the program without its seccomp sandbox"));
  }
  if (status.tracer != 0) {
    refusals->push_back(process_refusal(into, "process.traced",
                                        "a debugger or tracer is attached (pid " + std::to_string(status.tracer) + ")",
                                        "detach it before the move"));
  }
  return status;
}

// tpgid is a number of the reader's namespace; its process tells the number inside.
Result<int32_t> Inventory::foreground_group(pid_t host_pid, const proc::Stat& stat) {
  if (stat.foreground_group <= 0) return 0;
  if (stat.foreground_group == stat.process_group) return freeze::inner_tid(host_pid, host_pid);
  auto leader = freeze::inner_tid(stat.foreground_group, stat.foreground_group);
  return leader ? *leader : 0;
}

// cwd and root.
Result<void> Inventory::add_places(const freeze::ListedProcess& listed, image::Process& into) {
  auto add = [&](std::string_view name) -> Result<uint32_t> {
    UniqueFd fd = TRY(sys::open_path(proc_path(listed.host_pid, name), O_PATH | O_DIRECTORY));
    return files_.add(fd.get(), TRY(sys::link_of(fd.get())), {});  // it may have gone elsewhere by now
  };
  into.set_cwd_file(TRY(add("cwd")));
  into.set_root_file(TRY(add("root")));
  return {};
}

Result<void> Inventory::check_namespaces(const freeze::ListedProcess& listed, std::vector<worker::Refusal>& refusals) {
  constexpr std::array<std::string_view, 8> kNames{"ns/mnt", "ns/pid",  "ns/net",  "ns/ipc",
                                                   "ns/uts", "ns/user", "ns/time", "ns/cgroup"};
  for (std::string_view name : kNames) {
    auto own = sys::read_link(proc_path(listed.host_pid, name));
    auto jobs = sys::read_link(proc_path(init_host_pid_, name));
    if (!own || !jobs || *own == *jobs) continue;
    image::Process process;
    process.set_pid(listed.pid);
    refusals.push_back(process_refusal(process, "process.namespace", "a namespace of its own (" + *own + ")",
                                       "run it without containers inside the job"));
  }
  return {};
}

Result<void> Inventory::open_handle(const freeze::ListedProcess& listed) {
  auto known = handles_.find(listed.pid);
  if (known != handles_.end() && known->second.host_pid == listed.host_pid) return {};
  handles_[listed.pid] = Handle{listed.host_pid, TRY(sys::open_pidfd(listed.host_pid))};
  return {};
}

Result<void> Inventory::add_descriptors(objects::Depth depth, image::LogicalHost& host,
                                        std::vector<worker::Refusal>& refusals) {
  std::vector<objects::ProcessRef> processes;
  for (const image::Process& process : host.processes()) {
    if (process.zombie()) continue;
    const Handle& handle = handles_.at(process.pid());
    processes.push_back({process.pid(), handle.host_pid, handle.pidfd.get()});
  }
  auto capture = [&] { return descriptors_.capture(processes, depth, host, refusals); };
  bool many_visits = depth == objects::Depth::full && sockets_.expects_connections();
  return many_visits ? sockets_.in_network(capture) : capture();
}

// One that ends while we look is left out, unless it is the process's first.
Result<void> Inventory::add_threads(const freeze::ListedProcess& listed, image::Process& into) {
  for (pid_t host_tid : listed.host_threads) {
    image::Thread thread;
    auto look = [&]() -> Result<void> {
      thread.set_tid(TRY(freeze::inner_tid(listed.host_pid, host_tid)));
      return objects::read_thread_ahead(listed.host_pid, host_tid, thread);
    };
    auto looked = look();
    bool ended = !looked && looked.error().kind == ErrorKind::gone && host_tid != listed.host_pid;
    if (ended) continue;
    TRY(std::move(looked));
    threads_ahead_[host_tid] = thread;
    *into.add_threads() = std::move(thread);
  }
  return {};
}

Result<image::LogicalHost> Inventory::plan(std::vector<worker::Refusal>& refusals) {
  image::LogicalHost host;
  files_.look_anew();
  for (const freeze::ListedProcess& listed : TRY(freeze::list_processes(init_host_pid_))) {
    image::Process process;
    auto add = [&]() -> Result<void> {
      TRY(add_identity(listed, process, &refusals));
      if (listed.zombie) return {};
      TRY(open_handle(listed));
      TRY(check_namespaces(listed, refusals));
      TRY(add_places(listed, process));
      TRY(objects::read_process_ahead(listed.host_pid, process));
      *process.mutable_address_space() = TRY(layouts_.plan(listed.host_pid, listed.pid, refusals));
      return add_threads(listed, process);
    };
    auto added = add();
    if (!added && added.error().kind == ErrorKind::gone) continue;  // it ended while we looked
    TRY(std::move(added).within("looking at process " + std::to_string(listed.pid)));
    bool orphaned = process.parent_pid() != 1 && !in_image(host, process.parent_pid());
    if (orphaned) continue;  // its parent ended meanwhile; the frozen program will tell
    ahead_[listed.host_pid] = process;
    *host.add_processes() = std::move(process);
  }
  TRY(add_descriptors(objects::Depth::plan, host, refusals));
  shared_.fill(host);
  TRY(files_.fill(host));
  return host;
}

Result<image::LogicalHost> Inventory::plan_again(std::vector<worker::Refusal>& refusals) {
  constexpr int kLooks = 10;
  for (int look = 1;; ++look) {
    refusals.clear();
    auto found = plan(refusals);
    if (!found && found.error().kind == ErrorKind::gone && look < kLooks) continue;
    if (found) TRY(add_network(*found, refusals));
    return found;
  }
}

Result<image::LogicalHost> Inventory::plan_patiently(std::vector<worker::Refusal>& refusals) {
  constexpr int kLooks = 10;
  constexpr std::chrono::milliseconds kBetween(10);
  std::optional<image::NetworkSettings> network;  // which is told of once
  for (int look = 1;; ++look) {
    auto found = plan_again(refusals);
    if (!found) return found;
    if (found->has_network()) network = found->network();
    if (refusals.empty() || !pass(refusals) || look == kLooks) {
      if (network) *found->mutable_network() = std::move(*network);
      return found;
    }
    std::this_thread::sleep_for(kBetween);
  }
}

Result<void> Inventory::add_network(image::LogicalHost& host, std::vector<worker::Refusal>& refusals) {
  if (!TRY(network_.changed())) return {};
  image::NetworkSettings settings = TRY(network_.list(refusals).within("looking at the job's network"));
  std::string told = settings.SerializeAsString();
  if (told == network_told_) return {};
  network_told_ = std::move(told);
  *host.mutable_network() = std::move(settings);
  return {};
}

Result<int> Inventory::pidfd_of(pid_t host_pid) const {
  for (auto& [pid, handle] : handles_) {
    if (handle.host_pid == host_pid) return handle.pidfd.get();
  }
  return error(ErrorKind::gone, "pid " + std::to_string(host_pid) + " is new");
}

std::vector<pid_t> Inventory::host_pids() const {
  std::vector<pid_t> pids;
  for (auto& [pid, handle] : handles_) pids.push_back(handle.host_pid);
  return pids;
}

Result<void> Inventory::note_waits() {
  if (tasks_ != nullptr) waits_ = TRY(tasks_->read(host_pids()));
  return {};
}

Result<std::optional<uint32_t>> Inventory::next_pid() const {
  if (tasks_ == nullptr) return std::nullopt;
  freeze::TaskRecords records = TRY(tasks_->read(std::span(&init_host_pid_, 1)));
  if (records.size() == 0) return error(ErrorKind::gone, "godwit-init ended");
  return records.all().front().next_pid;
}

bool Inventory::none_born() const {
  if (!waits_ || waits_->size() == 0) return false;
  auto next = next_pid();
  return next && *next && **next == waits_->all().front().next_pid;
}

Result<void> Inventory::note_calls(freeze::SeizedTree& tree) const {
  std::optional<freeze::TaskRecords> records;
  if (tasks_ != nullptr) records = TRY(tasks_->read(host_pids()));
  for (freeze::SeizedProcess& process : tree.processes()) {
    for (freeze::SeizedThread& thread : process.threads) {
      const freeze::TaskRecord* before = waits_ ? waits_->find(thread.host_tid) : nullptr;
      const freeze::TaskRecord* now = records ? records->find(thread.host_tid) : nullptr;
      thread.call = freeze::classify(thread.registers, before, now, tasks_);
    }
  }
  return {};
}

Result<void> Inventory::ask_thread(const freeze::SeizedProcess& seized, freeze::SeizedThread& thread,
                                   const freeze::TaskRecords* records, image::Thread& into) {
  const freeze::TaskRecord* before = waits_ ? waits_->find(thread.host_tid) : nullptr;
  const freeze::TaskRecord* record = records == nullptr ? nullptr : records->find(thread.host_tid);
  auto ahead = threads_ahead_.find(thread.host_tid);
  bool stale = before == nullptr || record == nullptr || objects::changed_since(*before, *record);
  if (ahead != threads_ahead_.end() && !stale) {
    into = ahead->second;
  } else {
    TRY(objects::read_thread_ahead(seized.listed.host_pid, thread.host_tid, into));
  }
  into.set_tid(record != nullptr ? record->inner_tid : TRY(freeze::inner_tid(seized.listed.host_pid, thread.host_tid)));
  TRY(objects::capture_thread(seized.listed.host_pid, thread.host_tid, thread.registers, record, into));
  if (record == nullptr) {
    RemoteCalls calls = TRY(RemoteCalls::open(thread.host_tid, TRY(freeze::find_vdso(seized.listed.host_pid))));
    objects::ThreadStateQuestions questions;
    CallBatch batch = calls.batch();
    questions.add(batch);
    TRY(calls.run(batch));
    TRY(questions.answers(batch, into));
    TRY(calls.close());
  }
  thread.call = freeze::classify(thread.registers, before, record, tasks_);
  *into.mutable_system_call() = thread.call;
  return {};
}

Result<void> Inventory::ask_process(freeze::SeizedProcess& seized, const freeze::TaskRecords* records,
                                    image::Process& into) {
  auto ahead = ahead_.find(seized.listed.host_pid);
  if (ahead != ahead_.end()) {
    into = ahead->second;
  } else {
    TRY(objects::read_process_ahead(seized.listed.host_pid, into));
  }
  proc::Status status = TRY(add_identity(seized.listed, into, nullptr));
  TRY(add_places(seized.listed, into));
  into.clear_threads();
  pid_t main_thread = seized.threads.front().host_tid;
  const freeze::ProcessRecord* kept = records == nullptr ? nullptr : records->find_process(main_thread);
  if (kept != nullptr) {
    into.mutable_address_space()->set_protection_keys(
        address_space::key_set(kept->facts.protection_keys, kept->facts.execute_only_key));
  }
  if (kept != nullptr && kept->facts.timers == 0) {
    objects::take_process_state(*kept, status, into);
    into.mutable_address_space()->set_brk(kept->facts.brk);
  } else {
    TRY(ask_inside(seized, into));
  }
  for (freeze::SeizedThread& thread : seized.threads) TRY(ask_thread(seized, thread, records, *into.add_threads()));
  const freeze::TaskRecord* record = records == nullptr ? nullptr : records->find(main_thread);
  TRY(objects::capture_process_pending(seized.listed.host_pid, record, into));
  into.set_stopped(std::any_of(seized.threads.begin(), seized.threads.end(), [](auto& t) { return t.group_stopped; }));
  return {};
}

// What the kernel does not show from outside is asked of the process itself.
Result<void> Inventory::ask_inside(freeze::SeizedProcess& seized, image::Process& into) {
  pid_t host_pid = seized.listed.host_pid;
  RemoteCalls calls = TRY(RemoteCalls::open(seized.threads.front().host_tid, TRY(freeze::find_vdso(host_pid))));
  CallBatch batch = calls.batch();
  objects::ProcessStateQuestions questions;
  TRY(questions.add(batch, host_pid));
  size_t brk = batch.add(SYS_brk, {0});
  TRY(calls.run(batch));
  auto tid_inside = [&](pid_t host_tid) { return freeze::inner_tid(host_pid, host_tid).value_or(0); };
  TRY(questions.answers(batch, tid_inside, into));
  into.mutable_address_space()->set_brk(static_cast<uint64_t>(batch.result(brk)));
  return calls.close();
}

Result<image::LogicalHost> Inventory::full(freeze::SeizedTree& tree, std::vector<worker::Refusal>& refusals) {
  image::LogicalHost host;
  files_.look_anew();
  handles_.clear();
  for (const freeze::SeizedProcess& seized : tree.processes()) {
    if (!seized.listed.zombie) TRY(open_handle(seized.listed));
  }
  std::optional<freeze::TaskRecords> records;
  if (tasks_ != nullptr) records = TRY(tasks_->read_all(host_pids()));
  for (freeze::SeizedProcess& seized : tree.processes()) {
    image::Process& process = *host.add_processes();
    if (seized.listed.zombie) {
      TRY(add_identity(seized.listed, process, nullptr));
      continue;
    }
    TRY(ask_process(seized, records ? &*records : nullptr, process)
            .within("asking process " + std::to_string(seized.listed.pid)));
    image::AddressSpace space = TRY(layouts_.full(seized.listed.host_pid, seized.listed.pid, refusals));
    space.set_brk(process.address_space().brk());
    if (process.address_space().protection_keys() != 0) {
      space.set_protection_keys(process.address_space().protection_keys());
    }
    *process.mutable_address_space() = std::move(space);
  }
  TRY(add_descriptors(objects::Depth::full, host, refusals));
  objects::complete_connects(host);
  TRY(add_network(host, refusals));
  shared_.fill(host);
  TRY(files_.fill(host));
  return host;
}

std::vector<Inventory::MemoryOfProcess> Inventory::memory_of(const image::LogicalHost& host) const {
  std::vector<MemoryOfProcess> memories;
  for (const image::Process& process : host.processes()) {
    if (process.zombie()) continue;
    memories.push_back({handles_.at(process.pid()).host_pid, process.pid(), &process.address_space()});
  }
  return memories;
}

}  // namespace godwit::migration
