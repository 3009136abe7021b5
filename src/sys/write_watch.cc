#include "sys/write_watch.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include <array>

#include "sys/byte_stream.h"
#include "sys/errno.h"
#include "sys/file.h"

namespace godwit::sys {

Result<WriteWatch> WriteWatch::open(const std::string& directory, std::string part) {
  UniqueFd fd(::fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return last_error("fanotify_init");
  constexpr unsigned kHow = FAN_MARK_ADD | FAN_MARK_FILESYSTEM;
  TRY(checked_void(::fanotify_mark(fd.get(), kHow, FAN_MODIFY, AT_FDCWD, directory.c_str()), "fanotify_mark"));
  return WriteWatch(std::move(fd), std::move(part));
}

Result<bool> WriteWatch::written() {
  alignas(fanotify_event_metadata) std::array<char, 4096> buffer;
  bool found = false;
  for (;;) {
    ssize_t count = ::read(fd_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return found;
    if (count < 0) return true;  // a file that cannot be opened to tell which it is
    auto* event = reinterpret_cast<fanotify_event_metadata*>(buffer.data());
    for (; FAN_EVENT_OK(event, count); event = FAN_EVENT_NEXT(event, count)) {
      UniqueFd file(event->fd);
      if (!file.valid()) {  // more than could be told of
        found = true;
        continue;
      }
      auto path = link_of(file.get());
      found = found || !path || path->find(part_) != std::string::npos;
    }
  }
}

}  // namespace godwit::sys
