// Pseudo-terminals from outside: which one a descriptor is, its settings, and what lies between its two sides.
// Source: ioctl_tty(2), pts(4), termios(3); kernel drivers/tty/pty.c, n_tty.c.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

struct TerminalIdentity {
  int32_t index;
  bool master;
};
Result<TerminalIdentity> identify_terminal(int fd, dev_t device);
// Nobody has the other side any more.
bool terminal_hung_up(int fd);
// The number of a master.
Result<uint64_t> terminal_index(int master);

struct TerminalSettings {
  std::string termios;  // struct termios2 as the kernel has it
  uint32_t rows, columns;
};
Result<TerminalSettings> terminal_settings(int fd);
// Errors: corrupt when it has not the size of struct termios2.
Result<void> set_terminal_settings(int fd, const std::string& termios);
Result<void> set_terminal_size(int fd, uint32_t rows, uint32_t columns);
Result<bool> terminal_locked(int master);
Result<bool> terminal_packet_mode(int master);
Result<void> set_terminal_modes(int master, bool locked, bool packet_mode);

// What the slave's side wrote and nobody has read from the master yet. It is taken out and put back: nobody may use the
// terminal meanwhile.
Result<std::string> peek_terminal_output(int master, const std::string& slave_path);
// Writes through the slave just as it stands, without output processing.
Result<void> put_terminal_output(const std::string& slave_path, const std::string& bytes);

// A new terminal with just this number in the devpts of our mount namespace; unlocked. Errors: conflict when it is
// taken.
Result<UniqueFd> make_terminal(int32_t index, int flags);
Result<void> set_terminal_owner(const std::string& slave_path, uid_t uid, gid_t gid, unsigned mode);

}  // namespace godwit::sys
