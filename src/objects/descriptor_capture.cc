#include "objects/descriptor_capture.h"

#include <dirent.h>
#include <fcntl.h>
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
  description.set_id(next_id());
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
  if (depth == Depth::plan && open.pidfd >= 0 && !unsupported) learn(open, description);
  return add(std::move(description),
             Known{open.host_pid, open.number, open.status.st_dev, open.info.position,
                   open.info.flags & ~uint32_t{O_CLOEXEC}, identity, 0},
             open.status.st_ino, host);
}

uint32_t DescriptorCapture::add(image::Description description, Known known, uint64_t inode, image::LogicalHost& host) {
  known.id = next_id();
  description.set_id(known.id);
  if (known.identity != 0) by_identity_[known.identity] = known.id;
  known_.emplace(inode, known);
  *host.add_descriptions() = std::move(description);
  return known.id;
}

// Of one that is known the record is enough.
Result<std::optional<uint32_t>> DescriptorCapture::recognise(const ProcessRef& process, const Numbered& which,
                                                             image::LogicalHost& host) {
  if (which.record == nullptr || which.record->has_locks != 0) return std::optional<uint32_t>();
  auto met = by_identity_.find(which.identity());
  if (met != by_identity_.end()) return std::optional(met->second);
  auto familiar = familiar_.recall(*which.record);
  if (!familiar) return std::optional<uint32_t>();
  const image::Description& description = familiar->description;
  uint32_t file = description.has_regular_file() ? description.regular_file().file() : description.directory().file();
  if (file != 0 && !TRY(files_.knows_name(file))) return std::optional<uint32_t>();
  if (description.has_pipe_end()) pipes_with_content_.emplace(which.record->inode, true);
  Known known{process.host_pid,
              which.number,
              familiar->device,
              which.record->position,
              which.record->flags,
              which.identity(),
              0};
  return std::optional(add(std::move(familiar->description), known, which.record->inode, host));
}

void DescriptorCapture::learn(const OpenDescriptor& open, const image::Description& description) {
  auto record = std::ranges::lower_bound(records_, open.number, {}, &freeze::DescriptorRecord::number);
  if (record != records_.end() && record->number == open.number) familiar_.learn(*record, open, description);
}

// None is held open meanwhile: a socket that its program closes must be closed.
bool DescriptorCapture::has_unread(bool that_must_not_be_lost) const {
  return std::any_of(to_be_read_.begin(), to_be_read_.end(), [&](const Unread& queue) {
    if (that_must_not_be_lost && queue.may_be_lost) return false;
    auto fd = sys::pidfd_getfd(queue.pidfd, queue.number);
    if (!fd) return false;
    auto link = sys::link_of(fd->get());
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
  open.link = TRY(sys::link_of(copy.get()));  // the number may be another's by now
  std::string text = TRY(sys::read_text(proc_path(process.host_pid, "fdinfo/" + name)));
  open.info = TRY(proc::parse_fdinfo(text));
  return open;
}

Result<std::vector<DescriptorCapture::Numbered>> DescriptorCapture::numbers_of(pid_t host_pid, Depth depth) {
  std::vector<Numbered> numbers;
  records_.clear();
  if (tasks_ != nullptr) {
    if (auto records = tasks_->read_descriptors(host_pid)) records_ = std::move(*records);
  }
  if (depth == Depth::full) {
    for (const freeze::DescriptorRecord& record : records_) numbers.push_back({record.number, &record});
  }
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
    auto add_descriptor = [&](uint32_t description, bool close_on_exec) {
      image::Descriptor& descriptor = *process->add_descriptors();
      descriptor.set_number(number);
      descriptor.set_close_on_exec(close_on_exec);
      descriptor.set_description(description);
    };
    auto one = [&]() -> Result<void> {
      if (auto description = TRY(recognise(ref, which, host))) {
        add_descriptor(*description, which.record->close_on_exec != 0);
        return {};
      }
      UniqueFd copy = TRY(sys::pidfd_getfd(ref.pidfd, number));
      OpenDescriptor open = TRY(look_at(ref, which, copy));
      uint32_t description = TRY(capture_one(open, which.identity(), depth, host, *process, refusals));
      if (!open.info.locks.empty()) capture_record_locks(open, description, *process);
      add_descriptor(description, (open.info.flags & O_CLOEXEC) != 0);
      return {};
    };
    auto captured = one();
    bool closed_meanwhile = !captured && depth == Depth::plan && captured.error().kind == ErrorKind::gone;
    if (closed_meanwhile) continue;
    TRY(std::move(captured).within("descriptor " + std::to_string(number) + " of process " + std::to_string(ref.pid)));
  }
  if (depth == Depth::plan && tasks_ != nullptr) {
    if (auto again = tasks_->read_descriptors(ref.host_pid)) familiar_.confirm(*again);
  }
  return {};
}

Result<void> DescriptorCapture::capture(std::span<const ProcessRef> processes, Depth depth, image::LogicalHost& host,
                                        std::vector<worker::Refusal>& refusals) {
  known_.clear();
  by_identity_.clear();
  if (depth == Depth::plan) familiar_.forget();
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

}  // namespace godwit::objects
