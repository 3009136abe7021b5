#include "sys/kernel_objects.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<UniqueFd> make_eventfd(uint64_t count, bool semaphore, int flags) {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0)));
  if (!fd.valid()) return last_error("eventfd");
  if (count != 0 && ::write(fd.get(), &count, sizeof count) < 0) return last_error("write", "an eventfd's count");
  if ((flags & O_NONBLOCK) == 0 && ::fcntl(fd.get(), F_SETFL, 0) != 0) return last_error("fcntl(F_SETFL)");
  return fd;
}

Result<UniqueFd> make_epoll() {
  UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd.valid()) return last_error("epoll_create1");
  return fd;
}

Result<UniqueFd> make_signalfd(uint64_t mask, int flags) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_signalfd4, -1, &mask, sizeof mask, SFD_CLOEXEC | (flags & O_NONBLOCK))));
  if (!fd.valid()) return last_error("signalfd4");
  return fd;
}

Result<UniqueFd> make_inotify(int flags) {
  UniqueFd fd(::inotify_init1(IN_CLOEXEC | (flags & O_NONBLOCK)));
  if (!fd.valid()) return last_error("inotify_init1");
  return fd;
}

Result<void> add_inotify_watch(int inotify, int32_t watch, int fd, uint32_t mask) {
  constexpr unsigned long kSetNext = _IOW('I', 0, int32_t);  // INOTIFY_IOC_SETNEXTWD, linux/inotify.h, Linux 4.17
  if (::ioctl(inotify, kSetNext, watch) != 0) return last_error("ioctl(INOTIFY_IOC_SETNEXTWD)");
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  int got = TRY(checked(::inotify_add_watch(inotify, path.c_str(), mask), "inotify_add_watch"));
  if (got != watch) return error(ErrorKind::corrupt, "two inotify watches of one file or one number");
  return {};
}

Result<UniqueFd> make_timerfd(const TimerSetting& setting, int flags) {
  constexpr uint64_t kSecond = 1'000'000'000;
  UniqueFd fd(::timerfd_create(setting.clock, TFD_CLOEXEC | (flags & O_NONBLOCK)));
  if (!fd.valid()) return last_error("timerfd_create");
  auto time = [](uint64_t ns) { return timespec{static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)}; };
  itimerspec times{time(setting.interval_ns), time(setting.value_ns)};
  if (::timerfd_settime(fd.get(), 0, &times, nullptr) != 0) return last_error("timerfd_settime");
  constexpr unsigned long kSetTicks = _IOW('T', 0, uint64_t);  // TFD_IOC_SET_TICKS, linux/timerfd.h
  uint64_t ticks = setting.ticks;
  if (ticks != 0 && ::ioctl(fd.get(), kSetTicks, &ticks) != 0) return last_error("ioctl(TFD_IOC_SET_TICKS)");
  return fd;
}

}  // namespace godwit::sys
