#include "coprocess/left_sockets.h"

#include <filesystem>
#include <sstream>

#include "sys/file.h"
#include "sys/namespaces.h"
#include "sys/pidfd.h"
#include "sys/tcp_repair.h"
#include "sys/text_file.h"

namespace godwit::coprocess {

void let_go_of_sockets(const std::string& cgroup) {
  auto listed = sys::read_text(cgroup + "/procs/cgroup.procs");
  if (!listed) return;
  std::istringstream pids(*listed);
  for (pid_t pid = 0; pids >> pid;) {
    auto pidfd = sys::open_pidfd(pid);
    if (!pidfd) continue;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", failed)) {
      auto link = sys::read_link(entry.path());
      if (!link || !link->starts_with("socket:")) continue;
      auto fd = sys::pidfd_getfd(pidfd->get(), std::stoi(entry.path().filename()));
      if (fd) sys::leave_repair_mode(fd->get());
    }
  }
}

}  // namespace godwit::coprocess
