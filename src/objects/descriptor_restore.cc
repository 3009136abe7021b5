#include "objects/descriptor_restore.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "sys/file.h"

namespace godwit::objects {

namespace {

using freeze::CallBatch;

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

// A pipe's writer says so, but what is in it is told with its first end.
std::set<uint64_t> packet_pipes(const image::LogicalHost& host) {
  std::set<uint64_t> pipes;
  for (const image::Description& description : host.descriptions()) {
    if (description.pipe_end().packet_mode()) pipes.insert(description.pipe_end().pipe());
  }
  return pipes;
}

}  // namespace

Result<DescriptorRestore> DescriptorRestore::create(const image::LogicalHost& host, TunEnds& tun_ends,
                                                    std::optional<sys::AcceptQueue>& accept_queue,
                                                    files::Opener& opener, ReadyDescriptions& ready,
                                                    const sys::MountNamespace& mounts, SharedMemorySet& shared_memory,
                                                    std::span<const ConsoleFd> consoles,
                                                    std::chrono::nanoseconds elapsed, const files::Owner& owner,
                                                    const std::function<pid_t(pid_t)>& host_pid) {
  DescriptorRestore restore;
  restore.opener_ = &opener;
  restore.owner_ = owner;
  RestoreTools tools{tun_ends,           accept_queue,       opener, mounts,  shared_memory, consoles, elapsed, ready,
                     ready.take_pipes(), packet_pipes(host), owner,  host_pid};
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
