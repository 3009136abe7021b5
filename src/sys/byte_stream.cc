#include "sys/byte_stream.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<PipeEnds> make_pipe() {
  int ends[2];
  TRY(checked_void(::pipe2(ends, O_CLOEXEC), "pipe2"));
  return PipeEnds{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> make_memory_file(std::string_view content) {
  UniqueFd fd(TRY(checked(::memfd_create("godwit", MFD_CLOEXEC), "memfd_create")));
  TRY(write_all(fd.get(), content));
  TRY(seek_to_start(fd.get()));
  return fd;
}

Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.valid()) return last_error("open", path);
  return fd;
}

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return last_error("write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Result<std::string> read_to_end(int fd) {
  constexpr size_t kLimit = size_t{1} << 20;
  std::string text;
  char buffer[4096];
  while (text.size() < kLimit) {
    ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error("read");
    if (count == 0) break;
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

Result<void> seek_to_start(int fd) { return checked_void(::lseek(fd, 0, SEEK_SET) < 0 ? -1 : 0, "lseek"); }

}  // namespace godwit::sys
