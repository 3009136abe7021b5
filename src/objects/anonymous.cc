// Descriptions without a path: eventfd, epoll, timerfd, signalfd, pidfd. The kernel tells about them in fdinfo.
// Source: eventfd(2), epoll_ctl(2), timerfd_create(2), signalfd(2), pidfd_open(2), proc_pid_fdinfo(5), Linux
// fs/pidfs.c (pidfd_show_fdinfo).
#include <fcntl.h>

#include <cstdio>
#include <cstdlib>

#include "objects/description.h"
#include "sys/kernel_objects.h"
#include "sys/namespaces.h"

namespace godwit::objects {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// "(seconds, nanoseconds)"
uint64_t time_field(const proc::FdInfo& info, std::string_view name) {
  unsigned long long seconds = 0, nanoseconds = 0;
  std::string text(info.field(name));
  if (std::sscanf(text.c_str(), "(%llu, %llu)", &seconds, &nanoseconds) != 2) return 0;
  return seconds * kSecond + nanoseconds;
}

void capture_epoll(const proc::FdInfo& info, image::Epoll& into) {
  for (const proc::FdInfo::EpollTarget& target : info.epoll_targets) {
    image::EpollWatch& watch = *into.add_watches();
    watch.set_number(target.number);
    watch.set_events(target.events);
    watch.set_data(target.data);
  }
}

void capture_timer(const proc::FdInfo& info, image::TimerFd& into) {
  into.set_clock(static_cast<int32_t>(info.number("clockid", 10)));
  into.set_ticks(info.number("ticks", 10));
  into.set_settime_flags(static_cast<uint32_t>(info.number("settime flags", 8)));
  into.set_value_ns(time_field(info, "it_value"));
  into.set_interval_ns(time_field(info, "it_interval"));
}

// Of a process that has ended the kernel tells -1; of one outside the job nothing could be made.
Captured capture_pidfd(const OpenDescriptor& open, CaptureTools& tools, image::PidFd& into) {
  const char* const remedy = "have the program close it before the move";
  constexpr uint32_t kOfThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9
  if ((open.info.flags & kOfThread) != 0) return Unsupported{"descriptor.pidfd", "a pidfd of a thread", remedy};
  auto host_pid = static_cast<pid_t>(std::strtol(std::string(open.info.field("Pid")).c_str(), nullptr, 10));
  into.set_pid(tools.inner_pid(host_pid));
  if (into.pid() != 0) return std::optional<Unsupported>();
  return Unsupported{"descriptor.pidfd", "a pidfd of a process that has ended or is not part of the job", remedy};
}

Result<UniqueFd> restore_pidfd(const image::PidFd& pidfd, int flags, RestoreTools& tools) {
  pid_t host_pid = tools.host_pid(pidfd.pid());
  if (host_pid == 0) return error(ErrorKind::corrupt, "a pidfd of a process that is not there");
  return sys::open_pidfd(host_pid, flags);
}

Result<UniqueFd> restore_timer(const image::TimerFd& timer, int flags, std::chrono::nanoseconds elapsed) {
  auto passed = static_cast<uint64_t>(elapsed.count());
  uint64_t value = timer.value_ns();
  // One that ran out while it travelled goes off at once.
  if (value != 0) value = value > passed ? value - passed : 1;
  return sys::make_timerfd({timer.clock(), timer.ticks(), value, timer.interval_ns()}, flags);
}

}  // namespace

Captured capture_anonymous(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  into.set_flags(open.info.flags);
  constexpr std::string_view kPrefix = "anon_inode:";
  std::string_view kind = std::string_view(open.link).substr(kPrefix.size());
  if (kind == "[eventfd]") {
    into.mutable_eventfd()->set_count(open.info.number("eventfd-count", 16));
    into.mutable_eventfd()->set_semaphore(open.info.number("eventfd-semaphore", 10) != 0);
  } else if (kind == "[eventpoll]") {
    capture_epoll(open.info, *into.mutable_epoll());
  } else if (kind == "[timerfd]") {
    capture_timer(open.info, *into.mutable_timerfd());
  } else if (kind == "inotify") {
    return capture_inotify(open, tools, into);
  } else if (kind == "[pidfd]") {
    return capture_pidfd(open, tools, *into.mutable_pidfd());
  } else if (kind == "[signalfd]") {
    into.mutable_signalfd()->set_mask(open.info.number("sigmask", 16));
  } else {
    std::string name(kind.size() > 2 && kind.front() == '[' ? kind.substr(1, kind.size() - 2) : kind);
    std::string remedy =
        name == "io_uring" ? "configure the program not to use io_uring" : "have the program close it before the move";
    return Unsupported{"descriptor." + name, name, remedy};
  }
  return std::optional<Unsupported>();
}

Result<UniqueFd> restore_anonymous(const image::Description& description, RestoreTools& tools) {
  int flags = static_cast<int>(description.flags() & O_NONBLOCK);
  if (description.has_eventfd()) {
    if (UniqueFd ready = tools.ready.take(description); ready.valid()) return ready;
    return sys::make_eventfd(description.eventfd().count(), description.eventfd().semaphore(), flags);
  }
  if (description.has_epoll()) return sys::make_epoll();
  if (description.has_pidfd()) return restore_pidfd(description.pidfd(), flags, tools);
  if (description.has_signalfd()) return sys::make_signalfd(description.signalfd().mask(), flags);
  return restore_timer(description.timerfd(), flags, tools.elapsed);
}

}  // namespace godwit::objects
