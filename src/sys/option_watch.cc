#include "sys/option_watch.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#include "sys/errno.h"
#include "sys/file.h"

extern "C" const std::byte godwit_option_watch_program[];
extern "C" const std::byte godwit_option_watch_program_end[];

namespace godwit::sys {

Result<OptionWatch> OptionWatch::begin(const std::string& cgroup) {
  auto programs = TRY(BpfPrograms::load(std::span(godwit_option_watch_program, godwit_option_watch_program_end)));
  int sockets = TRY(programs.map("known_sockets"));
  UniqueFd directory = TRY(open_path(cgroup, O_RDONLY | O_DIRECTORY));
  int link = bpf_link_create(TRY(programs.program("forget_socket")), directory.get(), BPF_CGROUP_SETSOCKOPT, nullptr);
  if (link < 0) return Error{kind_of(-link), -link, "bpf(LINK_CREATE)", "watching setsockopt"};
  return OptionWatch(std::move(programs), sockets, UniqueFd(link));
}

bool OptionWatch::note(int socket) const {
  int known = 1;
  return bpf_map_update_elem(sockets_, &socket, &known, BPF_ANY) == 0;
}

bool OptionWatch::unchanged(int socket) const {
  int known = 0;
  return bpf_map_lookup_elem(sockets_, &socket, &known) == 0 && known == 1;
}

}  // namespace godwit::sys
