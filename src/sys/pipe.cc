#include "sys/pipe.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string_view>

#include "sys/errno.h"
#include "sys/file.h"

namespace godwit::sys {

Result<PipePair> make_pipe_pair() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return last_error("pipe2");
  return PipePair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// All of them are on one file system of the kernel's own.
bool is_unnamed_pipe(const struct stat& status) {
  static const dev_t kDevice = [] {
    auto pair = make_pipe_pair();
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

Result<PipeContent> peek_pipe(int fd, uint32_t capacity) {
  UniqueFd reader = TRY(reopen(fd, O_RDONLY | O_NONBLOCK));
  int waiting = 0;
  if (::ioctl(reader.get(), FIONREAD, &waiting) != 0) return last_error("ioctl(FIONREAD)");
  PipeContent content;
  if (waiting == 0) return content;
  PipePair aside = TRY(make_pipe_pair());
  TRY(set_pipe_capacity(aside.write.get(), capacity).within("a pipe to look into another"));
  ssize_t copied = ::tee(reader.get(), aside.write.get(), static_cast<size_t>(waiting), SPLICE_F_NONBLOCK);
  if (copied != waiting) return last_error("tee", "the whole content of a pipe");
  content.bytes.resize(static_cast<size_t>(waiting));
  for (size_t have = 0; have < content.bytes.size();) {
    ssize_t count = ::read(aside.read.get(), content.bytes.data() + have, content.bytes.size() - have);
    if (count <= 0) return last_error("read", "a pipe's content");
    content.pieces.push_back(static_cast<uint32_t>(count));
    have += static_cast<size_t>(count);
  }
  return content;
}

Result<void> fill_pipe(int fd, const PipeContent& content, bool packets) {
  UniqueFd writer = TRY(reopen(fd, O_WRONLY | O_NONBLOCK));
  if (packets && ::fcntl(writer.get(), F_SETFL, O_NONBLOCK | O_DIRECT) != 0) return last_error("fcntl(F_SETFL)");
  std::string_view left = content.bytes;
  for (uint32_t piece : content.pieces) {
    for (std::string_view bytes = left.substr(0, piece); !bytes.empty();) {
      ssize_t count = ::write(writer.get(), bytes.data(), bytes.size());
      if (count <= 0) return last_error("write", "filling a pipe");
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    left.remove_prefix(piece);
  }
  return {};
}

}  // namespace godwit::sys
