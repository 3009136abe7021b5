// Terminals: the job's side of a console (its master is godwit-init's) and pseudo-terminals of the job's own.
// Settings, size, lock and what is written and not yet read from the master. Source: pty(7), ioctl_tty(2), Linux
// drivers/tty/.
#include <fcntl.h>

#include "objects/description.h"
#include "sys/file.h"
#include "sys/pseudo_terminal.h"

namespace godwit::objects {

Captured capture_terminal(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  into.set_flags(open.info.flags);
  image::TerminalEnd& end = *into.mutable_terminal_end();
  sys::TerminalIdentity identity = TRY(sys::identify_terminal(open.copy.get(), open.status.st_rdev));
  end.set_index(identity.index);
  end.set_master(identity.master);
  for (const ConsoleEnd& console : tools.consoles) {
    if (console.terminal && console.id == static_cast<uint64_t>(identity.index)) end.set_console(console.console + 1);
  }
  // What was typed does not move. To look whether there is some also lets through what is still on its way
  // (n_tty_poll).
  bool may_have_input = !identity.master && !sys::terminal_hung_up(open.copy.get());
  if (may_have_input) tools.to_be_read.push_back({open.pidfd, open.number, open.link, true});
  if (identity.master || end.console() != 0) {
    sys::TerminalSettings settings = TRY(sys::terminal_settings(open.copy.get()));
    end.mutable_terminal()->set_settings(settings.termios);
    end.mutable_terminal()->set_rows(settings.rows);
    end.mutable_terminal()->set_columns(settings.columns);
  }
  if (identity.master && tools.depth == Depth::full) {
    end.mutable_terminal()->set_locked(TRY(sys::terminal_locked(open.copy.get())));
    end.mutable_terminal()->set_packet_mode(TRY(sys::terminal_packet_mode(open.copy.get())));
    std::string slave = "/proc/" + std::to_string(open.host_pid) + "/root/dev/pts/" + std::to_string(identity.index);
    end.mutable_terminal()->set_output(TRY(sys::peek_terminal_output(open.copy.get(), slave)));
    struct stat status = TRY(sys::status_of(slave));
    end.mutable_terminal()->set_mode(status.st_mode & 0777);
    end.mutable_terminal()->set_uid(status.st_uid);
    end.mutable_terminal()->set_gid(status.st_gid);
  }
  return std::optional<Unsupported>();
}

Result<UniqueFd> restore_terminal(const image::Description& description, RestoreTools& tools) {
  const image::TerminalEnd& end = description.terminal_end();
  int flags = static_cast<int>(description.flags() & (O_ACCMODE | O_NONBLOCK | O_ASYNC));
  if (end.console() != 0) {
    for (const ConsoleFd& console : tools.consoles) {
      if (console.console + 1 != end.console() || !console.terminal) continue;
      if (end.has_terminal()) TRY(sys::set_terminal_settings(console.fd, end.terminal().settings()));
      return sys::reopen(console.fd, flags | O_NOCTTY);
    }
    return error(ErrorKind::corrupt, "a terminal of a console that is not there");
  }
  constexpr int kMostTerminals = 4096;
  if (end.index() < 0 || end.index() > kMostTerminals) return error(ErrorKind::corrupt, "an impossible terminal");
  auto visit = TRY(tools.mounts.visit());
  std::string slave = "/dev/pts/" + std::to_string(end.index());
  if (!end.master()) return sys::open_path(slave, flags | O_NOCTTY);
  UniqueFd master = TRY(sys::make_terminal(end.index(), flags));
  const image::Terminal& terminal = end.terminal();
  if (terminal.mode() != 0) TRY(sys::set_terminal_owner(slave, terminal.uid(), terminal.gid(), terminal.mode()));
  TRY(sys::put_terminal_output(slave, terminal.output()));
  TRY(sys::set_terminal_settings(master.get(), terminal.settings()));
  TRY(sys::set_terminal_size(master.get(), terminal.rows(), terminal.columns()));
  TRY(sys::set_terminal_modes(master.get(), terminal.locked(), terminal.packet_mode()));
  return master;
}

}  // namespace godwit::objects
