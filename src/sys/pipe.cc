#include "sys/pipe.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/errno.h"
#include "sys/file.h"

namespace godwit::sys {

Result<PipePair> make_pipe_pair(bool packets) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | (packets ? O_DIRECT : 0)) != 0) return last_error("pipe2");
  return PipePair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// All of them are on one file system of the kernel's own.
bool is_unnamed_pipe(const struct stat& status) {
  static const dev_t kDevice = [] {
    auto pair = make_pipe_pair(false);
    struct stat own{};
    return pair && ::fstat(pair->read.get(), &own) == 0 ? own.st_dev : 0;
  }();
  return S_ISFIFO(status.st_mode) && kDevice != 0 && status.st_dev == kDevice;
}

Result<uint32_t> pipe_capacity(int fd) {
  return static_cast<uint32_t>(TRY(checked(::fcntl(fd, F_GETPIPE_SZ), "fcntl(F_GETPIPE_SZ)")));
}

Result<void> set_pipe_capacity(int fd, uint32_t bytes) {
  return checked_void(::fcntl(fd, F_SETPIPE_SZ, bytes), "fcntl(F_SETPIPE_SZ)");
}

Result<std::string> peek_pipe(int fd, uint32_t capacity) {
  UniqueFd reader = TRY(reopen(fd, O_RDONLY | O_NONBLOCK));
  int waiting = 0;
  if (::ioctl(reader.get(), FIONREAD, &waiting) != 0) return last_error("ioctl(FIONREAD)");
  if (waiting == 0) return std::string();
  PipePair aside = TRY(make_pipe_pair(false));
  TRY(set_pipe_capacity(aside.write.get(), capacity).within("a pipe to look into another"));
  ssize_t copied = ::tee(reader.get(), aside.write.get(), static_cast<size_t>(waiting), SPLICE_F_NONBLOCK);
  if (copied != waiting) return last_error("tee", "the whole content of a pipe");
  std::string content(static_cast<size_t>(waiting), '\0');
  size_t have = 0;
  while (have < content.size()) {
    ssize_t count = ::read(aside.read.get(), content.data() + have, content.size() - have);
    if (count <= 0) return last_error("read", "a pipe's content");
    have += static_cast<size_t>(count);
  }
  return content;
}

Result<void> fill_pipe(int fd, std::span<const std::byte> bytes) {
  UniqueFd writer = TRY(reopen(fd, O_WRONLY | O_NONBLOCK));
  while (!bytes.empty()) {
    ssize_t count = ::write(writer.get(), bytes.data(), bytes.size());
    if (count <= 0) return last_error("write", "filling a pipe");
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace godwit::sys
