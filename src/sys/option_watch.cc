#include "sys/option_watch.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "sys/cgroup_mount.h"
#include "sys/errno.h"
#include "sys/file.h"
#include "sys/text_file.h"

extern "C" const std::byte godwit_option_watch_program[];
extern "C" const std::byte godwit_option_watch_program_end[];

namespace godwit::sys {

namespace {

// Its directory: cgroups(7), "/proc/PID/cgroup"; version 2 has the number 0.
Result<std::string> own_cgroup() {
  constexpr std::string_view kVersion2 = "0::";
  std::string text = TRY(read_text("/proc/self/cgroup"));
  size_t at = text.starts_with(kVersion2) ? 0 : text.find("\n0::");
  if (at == std::string::npos) return error(ErrorKind::unsupported, "no cgroup of version 2");
  at = text.find(kVersion2, at) + kVersion2.size();
  return TRY(cgroup2_mount()) + text.substr(at, text.find('\n', at) - at);
}

}  // namespace

Result<OptionWatch> OptionWatch::begin(const std::string& cgroup) {
  auto programs = TRY(BpfPrograms::load(std::span(godwit_option_watch_program, godwit_option_watch_program_end)));
  int sockets = TRY(programs.map("known_sockets"));
  OptionWatch watch(std::move(programs), sockets);
  TRY(watch.attach(cgroup));
  if (auto own = own_cgroup()) (void)watch.attach(*own);  // without it sockets that have moved before are read again
  return watch;
}

Result<void> OptionWatch::attach(const std::string& cgroup) {
  UniqueFd directory = TRY(open_path(cgroup, O_RDONLY | O_DIRECTORY));
  int link = bpf_link_create(TRY(programs_.program("forget_socket")), directory.get(), BPF_CGROUP_SETSOCKOPT, nullptr);
  if (link < 0) return Error{kind_of(-link), -link, "bpf(LINK_CREATE)", "watching setsockopt"};
  links_.emplace_back(link);
  return {};
}

// Tried out with an option that there is not, of which the program at setsockopt(2) hears first.
bool OptionWatch::note(int socket) const {
  constexpr int kNoSuchOption = 0x7fff'0000;
  if (!mark(socket)) return false;
  int nothing = 0;
  (void)::setsockopt(socket, SOL_SOCKET, kNoSuchOption, &nothing, sizeof nothing);
  return !unchanged(socket) && mark(socket);
}

bool OptionWatch::mark(int socket) const {
  int known = 1;
  return bpf_map_update_elem(sockets_, &socket, &known, BPF_ANY) == 0;
}

bool OptionWatch::unchanged(int socket) const {
  int known = 0;
  return bpf_map_lookup_elem(sockets_, &socket, &known) == 0 && known == 1;
}

}  // namespace godwit::sys
