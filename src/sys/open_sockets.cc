#include "sys/open_sockets.h"

#include <filesystem>
#include <sstream>

#include "sys/file.h"
#include "sys/namespaces.h"
#include "sys/pidfd.h"
#include "sys/text_file.h"

namespace godwit::sys {

void for_each_open_socket(const std::string& cgroup, const std::function<void(int fd)>& work) {
  auto listed = read_text(cgroup + "/cgroup.procs");
  if (!listed) return;
  std::istringstream pids(*listed);
  for (pid_t pid = 0; pids >> pid;) {
    auto pidfd = open_pidfd(pid);
    if (!pidfd) continue;
    std::error_code gone;
    std::filesystem::directory_iterator entry("/proc/" + std::to_string(pid) + "/fd", gone), end;
    for (; !gone && entry != end; entry.increment(gone)) {
      auto link = read_link(entry->path());
      if (!link || !link->starts_with("socket:")) continue;
      auto fd = pidfd_getfd(pidfd->get(), std::stoi(entry->path().filename()));
      if (fd) work(fd->get());
    }
  }
}

}  // namespace godwit::sys
