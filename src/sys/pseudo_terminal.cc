#include "sys/pseudo_terminal.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "sys/errno.h"

// <sys/ioctl.h> and <asm/termbits.h> do not go together.
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept;

namespace godwit::sys {

namespace {

// asm-generic/ioctls.h
constexpr unsigned long kGetSettings = 0x802c542a, kSetSettings = 0x402c542b;  // TCGETS2, TCSETS2
constexpr unsigned long kGetNumber = 0x80045430, kSetLock = 0x40045431;        // TIOCGPTN, TIOCSPTLCK
constexpr unsigned long kGetLock = 0x80045439, kGetPacket = 0x80045438,
                        kPacket = 0x5420;                      // TIOCGPTLCK, TIOCGPKT, TIOCPKT
constexpr unsigned long kGetSize = 0x5413, kSetSize = 0x5414;  // TIOCGWINSZ, TIOCSWINSZ

struct WindowSizeRaw {
  unsigned short rows, columns, x, y;
};

Result<UniqueFd> open_slave(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  return fd;
}

}  // namespace

Result<uint64_t> terminal_index(int master) {
  unsigned index = 0;
  if (ioctl(master, kGetNumber, &index) != 0) return last_error("ioctl(TIOCGPTN)");
  return index;
}

Result<TerminalIdentity> identify_terminal(int fd, dev_t device) {
  constexpr unsigned kFirstSlaveMajor = 136, kLastSlaveMajor = 143;
  bool slave = major(device) >= kFirstSlaveMajor && major(device) <= kLastSlaveMajor;
  if (slave)
    return TerminalIdentity{static_cast<int32_t>((major(device) - kFirstSlaveMajor) * 256 + minor(device)), false};
  bool multiplexer = major(device) == 5 && minor(device) == 2;
  if (multiplexer) return TerminalIdentity{static_cast<int32_t>(TRY(terminal_index(fd))), true};
  // Opened as /dev/tty: the terminal itself tells its device.
  unsigned number = 0;
  constexpr unsigned long kGetDevice = 0x80045432;  // TIOCGDEV
  if (ioctl(fd, kGetDevice, &number) != 0) return last_error("ioctl(TIOCGDEV)");
  unsigned kind = number >> 8 & 0xfff;
  if (kind < kFirstSlaveMajor || kind > kLastSlaveMajor) return error(ErrorKind::unsupported, "not a pseudo-terminal");
  return TerminalIdentity{static_cast<int32_t>((kind - kFirstSlaveMajor) * 256 + (number & 0xff)), false};
}

Result<TerminalSettings> terminal_settings(int fd) {
  termios2 settings{};
  WindowSizeRaw size{};
  if (ioctl(fd, kGetSettings, &settings) != 0) return last_error("ioctl(TCGETS2)");
  if (ioctl(fd, kGetSize, &size) != 0) return last_error("ioctl(TIOCGWINSZ)");
  return TerminalSettings{std::string(reinterpret_cast<const char*>(&settings), sizeof settings), size.rows,
                          size.columns};
}

Result<void> set_terminal_settings(int fd, const std::string& termios) {
  termios2 settings{};
  if (termios.size() != sizeof settings) return error(ErrorKind::corrupt, "terminal settings of another size");
  std::memcpy(&settings, termios.data(), sizeof settings);
  return checked_void(ioctl(fd, kSetSettings, &settings), "ioctl(TCSETS2)");
}

Result<void> set_terminal_size(int fd, uint32_t rows, uint32_t columns) {
  WindowSizeRaw size{static_cast<unsigned short>(rows), static_cast<unsigned short>(columns), 0, 0};
  return checked_void(ioctl(fd, kSetSize, &size), "ioctl(TIOCSWINSZ)");
}

Result<bool> terminal_locked(int master) {
  int locked = 0;
  TRY(checked_void(ioctl(master, kGetLock, &locked), "ioctl(TIOCGPTLCK)"));
  return locked != 0;
}

Result<bool> terminal_packet_mode(int master) {
  int packet = 0;
  TRY(checked_void(ioctl(master, kGetPacket, &packet), "ioctl(TIOCGPKT)"));
  return packet != 0;
}

Result<void> set_terminal_modes(int master, bool locked, bool packet_mode) {
  int lock = locked;
  int packet = packet_mode;
  TRY(checked_void(ioctl(master, kSetLock, &lock), "ioctl(TIOCSPTLCK)"));
  return checked_void(ioctl(master, kPacket, &packet), "ioctl(TIOCPKT)");
}

Result<void> put_terminal_output(const std::string& slave_path, const std::string& bytes) {
  if (bytes.empty()) return {};
  UniqueFd slave = TRY(open_slave(slave_path));
  termios2 kept{};
  if (ioctl(slave.get(), kGetSettings, &kept) != 0) return last_error("ioctl(TCGETS2)");
  termios2 plain = kept;
  plain.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  if (ioctl(slave.get(), kSetSettings, &plain) != 0) return last_error("ioctl(TCSETS2)");
  ssize_t count = ::write(slave.get(), bytes.data(), bytes.size());
  TRY(checked_void(ioctl(slave.get(), kSetSettings, &kept), "ioctl(TCSETS2)"));
  if (count != static_cast<ssize_t>(bytes.size())) return last_error("write", "a terminal's output");
  return {};
}

bool terminal_hung_up(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1 && (waiting.revents & POLLHUP) != 0;
}

Result<std::string> peek_terminal_output(int master, const std::string& slave_path) {
  int flags = ::fcntl(master, F_GETFL);
  if (flags < 0) return last_error("fcntl(F_GETFL)");
  if ((flags & O_NONBLOCK) == 0 && ::fcntl(master, F_SETFL, flags | O_NONBLOCK) != 0)
    return last_error("fcntl(F_SETFL)");
  std::string bytes;
  char buffer[4096];
  ssize_t count;
  while ((count = ::read(master, buffer, sizeof buffer)) > 0) bytes.append(buffer, static_cast<size_t>(count));
  if ((flags & O_NONBLOCK) == 0 && ::fcntl(master, F_SETFL, flags) != 0) return last_error("fcntl(F_SETFL)");
  TRY(put_terminal_output(slave_path, bytes));
  return bytes;
}

Result<UniqueFd> make_terminal(int32_t index, int flags) {
  std::vector<UniqueFd> surplus;  // lower numbers, given back when the wanted one is there
  for (int32_t attempt = 0; attempt <= index; ++attempt) {
    UniqueFd master(::open("/dev/ptmx", flags | O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!master.valid()) return last_error("open", "/dev/ptmx");
    int unlocked = 0;
    TRY(checked_void(ioctl(master.get(), kSetLock, &unlocked), "ioctl(TIOCSPTLCK)"));
    uint64_t number = TRY(terminal_index(master.get()));
    if (number == static_cast<uint64_t>(index)) return master;
    surplus.push_back(std::move(master));
  }
  return error(ErrorKind::conflict, "terminal " + std::to_string(index) + " is taken");
}

Result<void> set_terminal_owner(const std::string& slave_path, uid_t uid, gid_t gid, unsigned mode) {
  if (::chown(slave_path.c_str(), uid, gid) != 0) return last_error("chown", slave_path);
  return checked_void(::chmod(slave_path.c_str(), mode & 0777), "chmod");
}

}  // namespace godwit::sys
