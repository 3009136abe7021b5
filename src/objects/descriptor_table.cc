#include "objects/descriptor_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "sys/file.h"
#include "sys/pidfd.h"
#include "sys/pipe.h"
#include "sys/stream_socket.h"
#include "sys/text_file.h"
#include "sys/tun.h"

namespace godwit::objects {

namespace {

using freeze::CallBatch;

std::string proc_path(pid_t pid, std::string_view rest) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(rest);
}

Result<std::vector<int>> open_numbers(pid_t host_pid) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(proc_path(host_pid, "fd").c_str()), ::closedir);
  if (!directory) return error(ErrorKind::gone, "process " + std::to_string(host_pid) + " ended");
  std::vector<int> numbers;
  while (dirent* entry = ::readdir(directory.get())) {
    int number = 0;
    auto [rest, failed] =
        std::from_chars(entry->d_name, entry->d_name + std::char_traits<char>::length(entry->d_name), number);
    if (failed == std::errc() && *rest == 0) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

bool is_terminal_device(const struct stat& status) {
  if (!S_ISCHR(status.st_mode)) return false;
  unsigned kind = major(status.st_rdev);
  bool multiplexer_or_own = kind == 5 && (minor(status.st_rdev) == 2 || minor(status.st_rdev) == 0);
  return (kind >= 136 && kind <= 143) || multiplexer_or_own;
}

Captured capture_kind(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  if (has_lease(open.info)) {
    return Unsupported{"descriptor.lease", "a lease on " + open.link, "have the program release it before the move"};
  }
  if ((open.info.flags & O_ASYNC) != 0 && !S_ISSOCK(open.status.st_mode)) {
    return Unsupported{"descriptor.signal_driven", "signal-driven input and output (O_ASYNC) on " + open.link,
                       "have the program use poll or epoll"};
  }
  if (open.link.starts_with("anon_inode:")) return capture_anonymous(open, tools, into);
  if (S_ISFIFO(open.status.st_mode)) return capture_pipe(open, tools, into);
  if (S_ISSOCK(open.status.st_mode) && open.link.starts_with("socket:")) return capture_socket(open, tools, into);
  if (sys::is_tun(open.status) && (open.info.flags & O_PATH) == 0) return capture_tun(open, tools, into);
  if (is_terminal_device(open.status)) return capture_terminal(open, tools, into);
  if (open.link.starts_with("/") &&
      (S_ISREG(open.status.st_mode) || S_ISDIR(open.status.st_mode) || S_ISCHR(open.status.st_mode))) {
    return capture_file(open, tools, into);
  }
  return Unsupported{"descriptor.unknown", open.link, "have the program close it before the move"};
}

Result<UniqueFd> restore_kind(const image::Description& description, RestoreTools& tools) {
  switch (description.object_case()) {
    case image::Description::kRegularFile:
    case image::Description::kDirectory:
    case image::Description::kMemoryFile:
    case image::Description::kCharacterDevice: return restore_file(description, tools);
    case image::Description::kTunDevice: return restore_tun(description, tools);
    case image::Description::kPipeEnd: return restore_pipe(description, tools);
    case image::Description::kTerminalEnd: return restore_terminal(description, tools);
    case image::Description::kTcpListener: return restore_tcp_listener(description, tools);
    case image::Description::kUdpSocket: return restore_udp_socket(description, tools);
    case image::Description::kNetlinkSocket: return restore_netlink_socket(description, tools);
    case image::Description::kRawSocket: return restore_raw_socket(description, tools);
    case image::Description::kPacketSocket: return restore_packet_socket(description, tools);
    case image::Description::kInotify: return restore_inotify(description, tools);
    case image::Description::kEventfd:
    case image::Description::kEpoll:
    case image::Description::kTimerfd:
    case image::Description::kPidfd:
    case image::Description::kSignalfd: return restore_anonymous(description, tools);
    default: return error(ErrorKind::corrupt, "a description of a kind that does not move");
  }
}

}  // namespace

// A description met before in another descriptor. Only those that look alike are compared by the kernel. While programs
// run, where it was met may be closed since: then it is told of once more, in a plan that is out of date anyhow.
Result<std::optional<uint32_t>> DescriptorCapture::find_known(const OpenDescriptor& open, uint64_t identity,
                                                              Depth depth) {
  auto [first, last] = known_.equal_range(open.status.st_ino);
  for (auto each = first; each != last; ++each) {
    const Known& known = each->second;
    bool alike = known.device == open.status.st_dev && known.flags == (open.info.flags & ~uint32_t{O_CLOEXEC}) &&
                 known.position == open.info.position;
    if (!alike) continue;
    if (identity != 0 && known.identity != 0) {
      if (identity == known.identity) return std::optional<uint32_t>(known.id);
      continue;
    }
    auto same = sys::same_description(known.host_pid, known.number, open.copy.get());
    if (!same && same.error().kind == ErrorKind::gone && depth == Depth::plan) continue;
    if (TRY(std::move(same))) return std::optional<uint32_t>(known.id);
  }
  return std::optional<uint32_t>();
}

Result<uint32_t> DescriptorCapture::capture_one(const OpenDescriptor& open, uint64_t identity, Depth depth,
                                                image::LogicalHost& host, const image::Process& process,
                                                std::vector<worker::Refusal>& refusals) {
  auto known = TRY(find_known(open, identity, depth));
  if (known) return *known;
  image::Description description;
  auto id = static_cast<uint32_t>(known_.size() + 1);
  description.set_id(id);
  auto inner_pid = [this](pid_t host_pid) {
    auto found = inner_pids_.find(host_pid);
    return found == inner_pids_.end() ? 0 : found->second;
  };
  CaptureTools tools{depth, files_, shared_memory_, consoles_, pipes_with_content_, sockets_, to_be_read_, inner_pid};
  auto unsupported = TRY(capture_kind(open, tools, description));
  capture_description_locks(open.info, description);
  for (const image::Lock& lock : description.locks()) {
    locks_.add_here(TRY(sys::duplicate(open.copy.get())), lock, open.link);
  }
  if ((open.info.flags & O_ASYNC) != 0 && depth == Depth::full) {
    sys::FileOwner owner = TRY(sys::file_owner(open.copy.get()));
    description.mutable_owner()->set_type(owner.type);
    description.mutable_owner()->set_pid(inner_pid(owner.pid));  // 0: nobody of the job
    description.mutable_owner()->set_signal(owner.signal);
  }
  if (unsupported) {
    worker::Refusal refusal;
    refusal.set_code(unsupported->code);
    refusal.set_pid(open.pid);
    refusal.set_process(process.name());
    refusal.set_fd(open.number);
    refusal.set_what(unsupported->what);
    refusal.set_remedy(unsupported->remedy);
    refusals.push_back(std::move(refusal));
    refused_for_now_ += unsupported->passes ? 1 : 0;
  }
  description.set_flags(description.flags() & ~uint32_t{O_CLOEXEC});
  known_.emplace(open.status.st_ino, Known{open.host_pid, open.number, open.status.st_dev, open.info.position,
                                           open.info.flags & ~uint32_t{O_CLOEXEC}, identity, id});
  *host.add_descriptions() = std::move(description);
  return id;
}

// None is held open meanwhile: a socket that its program closes must be closed.
bool DescriptorCapture::has_unread(bool that_must_not_be_lost) const {
  return std::any_of(to_be_read_.begin(), to_be_read_.end(), [&](const Unread& queue) {
    if (that_must_not_be_lost && queue.may_be_lost) return false;
    auto fd = sys::pidfd_getfd(queue.pidfd, queue.number);
    if (!fd) return false;
    auto link = sys::read_link("/proc/self/fd/" + std::to_string(fd->get()));
    if (!link || *link != queue.link) return false;
    auto readable = sys::readable_now(fd->get());
    return readable && *readable;
  });
}

// A description that the process has under several numbers shows them under each.
void DescriptorCapture::capture_record_locks(const OpenDescriptor& open, uint32_t description, image::Process& into) {
  for (const image::Descriptor& other : into.descriptors()) {
    if (other.description() == description) return;
  }
  int first = into.locks_size();
  capture_process_locks(open.info, open.number, into);
  for (int i = first; i < into.locks_size(); ++i) locks_.add(open.host_pid, open.number, into.locks(i), open.link);
}

// Of a socket and a pipe the record tells everything that /proc would, where each file costs as much as the rest of it
// together.
Result<OpenDescriptor> DescriptorCapture::look_at(const ProcessRef& process, const Numbered& which,
                                                  const UniqueFd& copy) {
  OpenDescriptor open{
      process.pid, process.host_pid, which.number, process.pidfd, copy, {}, TRY(sys::status_of(copy.get())), {}};
  const freeze::DescriptorRecord* record = which.record;
  bool is_pipe = sys::is_unnamed_pipe(open.status);
  bool told = record != nullptr && record->has_locks == 0 && (record->flags & O_PATH) == 0;
  if (told && (is_pipe || S_ISSOCK(open.status.st_mode))) {
    open.link = (is_pipe ? "pipe:[" : "socket:[") + std::to_string(record->inode) + "]";
    open.info.flags = record->flags | (record->close_on_exec != 0 ? O_CLOEXEC : 0);
    open.info.position = record->position;
    return open;
  }
  std::string name = std::to_string(which.number);
  open.link = TRY(sys::read_link("/proc/self/fd/" + std::to_string(copy.get())));  // the number may be another's by now
  std::string text = TRY(sys::read_text(proc_path(process.host_pid, "fdinfo/" + name)));
  open.info = TRY(proc::parse_fdinfo(text));
  return open;
}

Result<std::vector<DescriptorCapture::Numbered>> DescriptorCapture::numbers_of(pid_t host_pid, Depth depth) {
  std::vector<Numbered> numbers;
  records_.clear();
  if (depth == Depth::full && tasks_ != nullptr) {
    if (auto records = tasks_->read_descriptors(host_pid)) records_ = std::move(*records);
  }
  for (const freeze::DescriptorRecord& record : records_) numbers.push_back({record.number, &record});
  if (!numbers.empty()) return numbers;
  for (int number : TRY(open_numbers(host_pid))) numbers.push_back({number, nullptr});
  return numbers;
}

// What was sent over unix sockets and not yet received. It may hold sockets in which again something is in flight.
Result<void> DescriptorCapture::capture_in_flight(Depth depth, image::LogicalHost& host,
                                                  std::vector<worker::Refusal>& refusals) {
  image::Process nobody;
  ProcessRef here{0, ::getpid(), -1};
  for (size_t next = 0; next < sockets_.in_flight.size(); ++next) {
    InFlight sent = std::move(sockets_.in_flight[next]);
    for (UniqueFd& fd : sent.descriptors) {
      OpenDescriptor open = TRY(look_at(here, {fd.get(), nullptr}, fd));
      uint32_t id = TRY(capture_one(open, 0, depth, host, nobody, refusals));
      image::Description& socket = *host.mutable_descriptions(static_cast<int>(sent.description) - 1);
      socket.mutable_unix_socket()->mutable_messages(sent.message)->add_descriptions(id);
      in_flight_.push_back(std::move(fd));
    }
  }
  return {};
}

Result<void> DescriptorCapture::capture_process(const ProcessRef& ref, Depth depth, image::LogicalHost& host,
                                                std::vector<worker::Refusal>& refusals) {
  image::Process* process = nullptr;
  for (image::Process& each : *host.mutable_processes()) {
    if (each.pid() == ref.pid) process = &each;
  }
  CHECK(process != nullptr);
  for (const Numbered& which : TRY(numbers_of(ref.host_pid, depth))) {
    int number = which.number;
    auto one = [&]() -> Result<void> {
      UniqueFd copy = TRY(sys::pidfd_getfd(ref.pidfd, number));
      OpenDescriptor open = TRY(look_at(ref, which, copy));
      uint32_t description = TRY(capture_one(open, which.identity(), depth, host, *process, refusals));
      if (!open.info.locks.empty()) capture_record_locks(open, description, *process);
      image::Descriptor& descriptor = *process->add_descriptors();
      descriptor.set_number(number);
      descriptor.set_close_on_exec((open.info.flags & O_CLOEXEC) != 0);
      descriptor.set_description(description);
      return {};
    };
    auto captured = one();
    bool closed_meanwhile = !captured && depth == Depth::plan && captured.error().kind == ErrorKind::gone;
    if (closed_meanwhile) continue;
    TRY(std::move(captured).within("descriptor " + std::to_string(number) + " of process " + std::to_string(ref.pid)));
  }
  return {};
}

Result<void> DescriptorCapture::capture(std::span<const ProcessRef> processes, Depth depth, image::LogicalHost& host,
                                        std::vector<worker::Refusal>& refusals) {
  known_.clear();
  in_flight_.clear();
  inner_pids_.clear();
  pipes_with_content_.clear();
  locks_.clear();
  to_be_read_.clear();
  refused_for_now_ = 0;
  sockets_.begin();
  host.clear_descriptions();
  for (const ProcessRef& process : processes) inner_pids_[process.host_pid] = process.pid;
  for (const ProcessRef& process : processes) {
    for (const ProcessRef& other : processes) {
      if (&other == &process) break;
      auto shared = sys::same_descriptor_table(process.host_pid, other.host_pid);
      if (!shared || !*shared) continue;
      worker::Refusal refusal;
      refusal.set_code("process.shared_descriptors");
      refusal.set_pid(process.pid);
      refusal.set_fd(-1);
      refusal.set_what("it shares its descriptor table with process " + std::to_string(other.pid));
      refusal.set_remedy("use threads or separate tables");
      refusals.push_back(std::move(refusal));
    }
    auto captured = capture_process(process, depth, host, refusals);
    if (!captured && depth == Depth::plan && captured.error().kind == ErrorKind::gone) continue;
    TRY(std::move(captured));
  }
  TRY(capture_in_flight(depth, host, refusals));
  if (depth == Depth::full) TRY(sockets_.add_requests(host));
  return {};
}

Result<DescriptorRestore> DescriptorRestore::create(const image::LogicalHost& host, TunEnds& tun_ends,
                                                    std::optional<sys::AcceptQueue>& accept_queue,
                                                    files::Opener& opener, const sys::MountNamespace& mounts,
                                                    SharedMemorySet& shared_memory, std::span<const ConsoleFd> consoles,
                                                    std::chrono::nanoseconds elapsed, const files::Owner& owner,
                                                    const std::function<pid_t(pid_t)>& host_pid) {
  DescriptorRestore restore;
  restore.opener_ = &opener;
  restore.owner_ = owner;
  RestoreTools tools{tun_ends, accept_queue, opener, mounts, shared_memory, consoles, elapsed, {}, owner, host_pid};
  restore.unix_sockets_ = TRY(UnixSocketRestore::make(host, tools, restore.descriptions_));
  // Masters before slaves: a slave can only be opened when its terminal is there.
  for (bool slaves : {false, true}) {
    for (const image::Description& description : host.descriptions()) {
      bool is_slave = description.has_terminal_end() && !description.terminal_end().master();
      restore.images_[description.id()] = &description;
      bool together = description.has_tcp_socket() || description.has_unix_socket();
      if (is_slave != slaves || together) continue;
      UniqueFd made = TRY(restore_kind(description, tools).within("description " + std::to_string(description.id())));
      // Far above every number a batch may name by mistake.
      restore.descriptions_[description.id()] = std::move(made);
    }
  }
  restore.tcp_sockets_ = TRY(TcpSocketRestore::make(host, tools, restore.descriptions_));
  TRY(restore.unix_sockets_->fill(restore.descriptions_, host_pid));
  TRY(restore.set_owners(host, host_pid));
  return restore;
}

// Who is told by a signal that there is something to read.
Result<void> DescriptorRestore::set_owners(const image::LogicalHost& host,
                                           const std::function<pid_t(pid_t)>& host_pid) {
  for (const image::Description& description : host.descriptions()) {
    const image::FileOwner& owner = description.owner();
    pid_t told = owner.pid() > 1 ? host_pid(owner.pid()) : 0;
    if (told == 0) continue;
    TRY(sys::set_file_owner(descriptions_.at(description.id()).get(), {owner.type(), told, owner.signal()}));
  }
  return {};
}

Result<void> DescriptorRestore::before_switchover() {
  TRY(take_locks_in_flight());
  TRY(tcp_sockets_->connect_inside());
  TRY(unix_sockets_->publish_new_names());
  return begin_to_listen();
}

// What tells of what happens, when nothing of ours happens any more.
Result<void> DescriptorRestore::begin_to_listen() {
  for (const auto& [id, description] : images_) {
    int fd = descriptions_.at(id).get();
    if (description->has_raw_socket()) TRY(hear_again(fd, description->raw_socket()));
    if (description->has_packet_socket()) TRY(hear_again(fd, description->packet_socket()));
    if (description->has_inotify()) TRY(watch_again(fd, description->inotify(), *opener_, owner_));
  }
  return {};
}

Result<void> DescriptorRestore::after_switchover() {
  TRY(tcp_sockets_->connect_outside());
  return unix_sockets_->publish_all_names();
}

Result<void> DescriptorRestore::install(const image::Process& process, int worker_pidfd, const NewBatch& new_batch,
                                        const RunBatch& run) {
  constexpr int kMostNumber = 1 << 20;
  constexpr size_t kRoom = 4096;
  int above = worker_pidfd + 1;
  std::map<int, const image::Descriptor*> wanted;
  for (const image::Descriptor& descriptor : process.descriptors()) {
    bool sound = descriptor.number() >= 0 && descriptor.number() < kMostNumber &&
                 wanted.emplace(descriptor.number(), &descriptor).second &&
                 descriptions_.contains(descriptor.description());
    if (!sound) return error(ErrorKind::corrupt, "an impossible descriptor");
    above = std::max(above, descriptor.number() + 1);
  }
  // The pidfd goes above all wanted numbers. Each description is taken at the lowest that is free: where there are no
  // gaps below it is the wanted one.
  CallBatch batch = new_batch();
  auto pidfd = static_cast<uint64_t>(above);
  batch.add(SYS_dup3, {static_cast<uint64_t>(worker_pidfd), pidfd, O_CLOEXEC});
  batch.add(SYS_close, {static_cast<uint64_t>(worker_pidfd)});
  uint64_t lowest = 0;
  for (auto [number, descriptor] : wanted) {
    if (batch.room() < kRoom) {
      TRY(run(batch));
      batch = new_batch();
    }
    auto at = static_cast<uint64_t>(number);
    auto ours = static_cast<uint64_t>(descriptions_.at(descriptor->description()).get());
    size_t taken = batch.add(SYS_pidfd_getfd, {pidfd, ours, 0});  // close-on-exec
    if (at == lowest) {
      ++lowest;
      if (!descriptor->close_on_exec()) batch.add_using(SYS_fcntl, {0, F_SETFD, 0}, 0, taken);
      continue;
    }
    batch.add_using(SYS_dup3, {0, at, descriptor->close_on_exec() ? uint64_t{O_CLOEXEC} : 0}, 0, taken);
    batch.add_using(SYS_close, {}, 0, taken);
  }
  batch.add(SYS_close, {pidfd});
  TRY(run(batch));
  TRY(add_epoll_watches(process, new_batch, run));
  return take_locks(process, new_batch, run);
}

// The file of a description that is the source's own, too.
std::optional<uint32_t> DescriptorRestore::shared_file(const image::Description& description) const {
  uint32_t file = description.has_regular_file()       ? description.regular_file().file()
                  : description.has_directory()        ? description.directory().file()
                  : description.has_character_device() ? description.character_device().file()
                  : description.has_pipe_end()         ? description.pipe_end().file()
                                                       : 0;
  return file != 0 && opener_->is_shared(file) ? std::optional(file) : std::nullopt;
}

// Those of the process, and of the descriptions that it is the first to have. After all else that is done to its
// descriptors: closing one of a file releases the process's locks on it.
Result<void> DescriptorRestore::take_locks(const image::Process& process, const NewBatch& new_batch,
                                           const RunBatch& run) {
  constexpr const char* kHeld = "a lock of the program on a file of this node alone cannot be had";
  CallBatch batch = new_batch();
  auto take = [&](const image::Description& description, int number, const image::Lock& lock) -> Result<void> {
    TRY(check_lock(lock));
    if (auto file = shared_file(description)) {
      late_locks_.add(process.pid(), number, lock, opener_->path(*file));
      return {};
    }
    if (batch.room() < kLockCallBytes) {
      TRY(run(batch).within(kHeld));
      batch = new_batch();
    }
    add_lock_call(batch, number, lock, LockStep::take);
    return {};
  };
  std::map<int, const image::Description*> by_number;
  for (const image::Descriptor& descriptor : process.descriptors()) {
    const image::Description& description = *images_.at(descriptor.description());
    by_number[descriptor.number()] = &description;
    if (description.locks().empty() || !locked_.insert(description.id()).second) continue;
    for (const image::Lock& lock : description.locks()) {
      if (lock.kind() == image::Lock::POSIX) return error(ErrorKind::corrupt, "a lock of no process");
      TRY(take(description, descriptor.number(), lock));
    }
  }
  for (const image::Lock& lock : process.locks()) {
    auto locked = by_number.find(lock.number());
    bool sound = locked != by_number.end() && lock.kind() == image::Lock::POSIX;
    if (!sound) return error(ErrorKind::corrupt, "a lock through no descriptor");
    TRY(take(*locked->second, lock.number(), lock));
  }
  return run(batch).within(kHeld);
}

// Of descriptions that no process has: they are queued in a socket.
Result<void> DescriptorRestore::take_locks_in_flight() {
  LockSet queued;
  for (const auto& [id, description] : images_) {
    if (description->locks().empty() || locked_.contains(id)) continue;
    auto file = shared_file(*description);
    for (const image::Lock& lock : description->locks()) {
      TRY(check_lock(lock));
      UniqueFd fd = TRY(sys::duplicate(descriptions_.at(id).get()));
      (file ? late_locks_ : queued).add_here(std::move(fd), lock, file ? opener_->path(*file) : "a file in flight");
    }
  }
  TRY(queued.take({}));
  if (!queued.lacking().empty()) return error(ErrorKind::conflict, "a lock on " + queued.lacking() + " cannot be had");
  return {};
}

// An epoll watch is known by descriptor number and description: it is set by a process in which the number shows the
// target.
Result<void> DescriptorRestore::add_epoll_watches(const image::Process& process, const NewBatch& new_batch,
                                                  const RunBatch& run) {
  CallBatch batch = new_batch();
  for (const image::Descriptor& descriptor : process.descriptors()) {
    const image::Description& description = *images_.at(descriptor.description());
    if (!description.has_epoll() || watched_[description.id()]) continue;
    watched_[description.id()] = true;
    for (const image::EpollWatch& watch : description.epoll().watches()) {
      bool present = std::any_of(process.descriptors().begin(), process.descriptors().end(),
                                 [&](const auto& other) { return other.number() == watch.number(); });
      if (!present) continue;  // its descriptor was closed; only a copy elsewhere kept it alive
      epoll_event event{};
      event.events = watch.events();
      event.data.u64 = watch.data();
      if (batch.room() < 4096) {
        TRY(run(batch));
        batch = new_batch();
      }
      auto at = batch.put_value(event);
      batch.add(SYS_epoll_ctl, {static_cast<uint64_t>(descriptor.number()), EPOLL_CTL_ADD,
                                static_cast<uint64_t>(watch.number()), freeze::value(at)});
    }
  }
  return run(batch);
}

}  // namespace godwit::objects
