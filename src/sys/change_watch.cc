#include "sys/change_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>

#include "sys/errno.h"

namespace godwit::sys {

void ChangeWatch::add(const std::string& directory) {
  constexpr uint32_t kChanges = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO;
  if (!inotify_.valid()) inotify_ = UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  bool watched = inotify_.valid() && ::inotify_add_watch(inotify_.get(), directory.c_str(), kChanges | IN_ONLYDIR) >= 0;
  bool is_gone = inotify_.valid() && !watched && (errno == ENOENT || errno == ENOTDIR);  // which the one above it shows
  if (!watched && !is_gone) blind_ = true;
}

Result<bool> ChangeWatch::changed() {
  if (!inotify_.valid() || blind_) return true;
  std::array<char, 16384> events;
  constexpr int kMostReads = 4096;  // the queue's default bound is 16384 events
  bool any = false;
  for (int i = 0; i < kMostReads; ++i) {
    ssize_t count = ::read(inotify_.get(), events.data(), events.size());
    if (count < 0 && errno == EAGAIN) return any;
    if (count < 0 && errno != EINTR) return last_error("read", "inotify");
    any = true;
  }
  return true;
}

}  // namespace godwit::sys
