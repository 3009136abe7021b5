#include "sys/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/unique_fd.h"
#include "sys/errno.h"

namespace godwit::sys {

Result<std::string> read_text(const std::string& path) {
  constexpr size_t kLimit = size_t{64} << 20;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  std::array<char, 1 << 16> block;
  std::string text;
  for (;;) {
    ssize_t count = ::read(fd.get(), block.data(), block.size());
    if (count < 0) return last_error("read", path);
    if (count == 0) return text;
    text.append(block.data(), static_cast<size_t>(count));
    if (text.size() > kLimit) return error(ErrorKind::exhausted, path + " is too long");
  }
}

Result<void> read_lines(const std::string& path, const std::function<Result<void>(std::string_view lines)>& take) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  std::string text(size_t{1} << 20, 0);
  size_t length = 0;  // of what has been read and not taken
  for (;;) {
    if (length == text.size()) return error(ErrorKind::exhausted, path + " has too long a line");
    ssize_t count = ::read(fd.get(), text.data() + length, text.size() - length);
    if (count < 0) return last_error("read", path);
    length += static_cast<size_t>(count);
    std::string_view here(text.data(), length);
    size_t lines = count == 0 ? length : here.rfind('\n') + 1;  // 0 when there is none
    TRY(take(here.substr(0, lines)));
    if (count == 0) return {};
    std::memmove(text.data(), text.data() + lines, length - lines);
    length -= lines;
  }
}

Result<void> write_text(const std::string& path, std::string_view text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  if (::write(fd.get(), text.data(), text.size()) < 0) return last_error("write", path);
  return {};
}

}  // namespace godwit::sys
