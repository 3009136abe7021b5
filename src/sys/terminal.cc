#include "sys/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <utility>

#include "sys/errno.h"

namespace godwit::sys {

bool is_terminal(int fd) { return isatty(fd) == 1; }

std::optional<WindowSize> window_size(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0) return std::nullopt;
  return WindowSize{size.ws_row, size.ws_col};
}

Result<RawMode> RawMode::enter(int fd) {
  termios former{};
  if (tcgetattr(fd, &former) < 0) return last_error("tcgetattr");
  termios raw = former;
  cfmakeraw(&raw);
  if (tcsetattr(fd, TCSADRAIN, &raw) < 0) return last_error("tcsetattr");
  return RawMode(fd, former);
}

RawMode::RawMode(RawMode&& other) noexcept : fd_(std::exchange(other.fd_, -1)), former_(other.former_) {}

void RawMode::leave() {
  if (fd_ < 0) return;
  tcsetattr(std::exchange(fd_, -1), TCSADRAIN, &former_);
}

}  // namespace godwit::sys
