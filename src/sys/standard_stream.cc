#include "sys/standard_stream.h"

#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

Result<void> wait_for(int fd, short events) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  TRY(wait_until_ready({&entry, 1}, -1));
  return {};
}

}  // namespace

Result<std::string> read_input(int fd, size_t most) {
  std::string bytes(most, '\0');
  for (;;) {
    ssize_t got = read(fd, bytes.data(), bytes.size());
    if (got >= 0) {
      bytes.resize(static_cast<size_t>(got));
      return bytes;
    }
    if (errno == EIO) return std::string();
    if (errno == EAGAIN) {
      TRY(wait_for(fd, POLLIN));
    } else if (errno != EINTR) {
      return last_error("read");
    }
  }
}

Result<void> write_output(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t done = write(fd, bytes.data(), bytes.size());
    if (done >= 0) {
      bytes.remove_prefix(static_cast<size_t>(done));
    } else if (errno == EAGAIN) {
      TRY(wait_for(fd, POLLOUT));
    } else if (errno != EINTR) {
      return last_error("write");
    }
  }
  return {};
}

Result<bool> wait_until_ready(std::span<pollfd> entries, int timeout_ms) {
  for (;;) {
    int ready = poll(entries.data(), entries.size(), timeout_ms);
    if (ready >= 0) return ready > 0;
    if (errno != EINTR) return last_error("poll");
  }
}

}  // namespace godwit::sys
