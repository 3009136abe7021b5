// A terminal that this process has open: its size, and raw mode as a scope.
//
// Raw mode is a property of the terminal, not of the process: whoever sets it must put it back on every way out. The
// scope's destructor does, so signals have to be turned into ordinary returns (sys/signal_queue.h) while it lives.
// Source: termios(3), ioctl_tty(2).
#pragma once

#include <termios.h>

#include <cstdint>
#include <optional>

#include "base/result.h"

namespace godwit::sys {

bool is_terminal(int fd);

struct WindowSize {
  uint16_t rows = 0;
  uint16_t columns = 0;
  bool operator==(const WindowSize&) const = default;
};

// Nothing if `fd` is no terminal or its size is unknown.
std::optional<WindowSize> window_size(int fd);

class RawMode {
 public:
  // Requires: `fd` is a terminal and stays open as long as this lives.
  static Result<RawMode> enter(int fd);
  ~RawMode() { leave(); }
  RawMode(RawMode&& other) noexcept;
  RawMode& operator=(RawMode&&) = delete;
  // Puts the former settings back; again is harmless.
  void leave();

 private:
  RawMode(int fd, const termios& former) : fd_(fd), former_(former) {}
  int fd_ = -1;
  termios former_{};
};

}  // namespace godwit::sys
