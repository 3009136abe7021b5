#include "freeze/process_list.h"

#include <dirent.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>

#include "sys/text_file.h"

namespace godwit::freeze {

namespace {

std::vector<pid_t> numbers(std::string_view text) {
  std::vector<pid_t> values;
  while (!text.empty()) {
    size_t begin = text.find_first_of("0123456789");
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    pid_t value = 0;
    auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    text.remove_prefix(static_cast<size_t>(rest - text.data()));
    if (failed == std::errc()) values.push_back(value);
  }
  return values;
}

// The rest of the line that begins with `name`, "\nName:".
std::string_view field(std::string_view status, std::string_view name) {
  size_t at = status.find(name);
  if (at == std::string_view::npos) return {};
  status.remove_prefix(at + name.size());
  return status.substr(0, status.find('\n'));
}

struct Identity {
  pid_t pid = 0;
  bool zombie = false;
};

Result<Identity> identify(pid_t host_pid) {
  std::string status = TRY(sys::read_text("/proc/" + std::to_string(host_pid) + "/status"));
  auto inside = numbers(field(status, "\nNSpid:"));
  if (inside.empty()) return error(ErrorKind::corrupt, "no NSpid in the status of pid " + std::to_string(host_pid));
  std::string_view state = field(status, "\nState:");
  return Identity{inside.back(),
                  state.find('Z') != std::string_view::npos || state.find('X') != std::string_view::npos};
}

}  // namespace

Result<std::vector<pid_t>> list_threads(pid_t host_pid) {
  std::string path = "/proc/" + std::to_string(host_pid) + "/task";
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return error(ErrorKind::gone, "pid " + std::to_string(host_pid) + " ended");
  std::vector<pid_t> threads;
  while (dirent* entry = ::readdir(directory.get())) {
    auto found = numbers(entry->d_name);
    if (!found.empty()) threads.push_back(found.front());
  }
  std::sort(threads.begin(), threads.end());
  auto main_thread = std::find(threads.begin(), threads.end(), host_pid);
  if (main_thread != threads.end()) std::rotate(threads.begin(), main_thread, main_thread + 1);
  return threads;
}

Result<std::vector<pid_t>> list_threads_of_cgroup(const std::string& cgroup) {
  std::vector<pid_t> threads = numbers(TRY(sys::read_text(cgroup + "/cgroup.threads")));
  std::sort(threads.begin(), threads.end());
  return threads;
}

Result<std::vector<pid_t>> list_children(pid_t host_pid) {
  std::vector<pid_t> children;
  auto threads = list_threads(host_pid);
  if (!threads) return children;
  for (pid_t thread : *threads) {
    auto text = sys::read_text("/proc/" + std::to_string(host_pid) + "/task/" + std::to_string(thread) + "/children");
    if (!text) continue;
    auto some = numbers(*text);
    children.insert(children.end(), some.begin(), some.end());
  }
  std::sort(children.begin(), children.end());
  return children;
}

Result<pid_t> inner_tid(pid_t host_pid, pid_t host_tid) {
  std::string path = "/proc/" + std::to_string(host_pid) + "/task/" + std::to_string(host_tid) + "/status";
  std::string status = TRY(sys::read_text(path));
  auto inside = numbers(field(status, "\nNSpid:"));
  if (inside.empty()) return error(ErrorKind::corrupt, "no NSpid in " + path);
  return inside.back();
}

Result<std::vector<ListedProcess>> list_processes(pid_t init_host_pid) {
  std::vector<ListedProcess> found;
  struct Parent {
    pid_t host_pid;
    pid_t pid;
  };
  std::vector<Parent> parents{{init_host_pid, 1}};
  for (size_t i = 0; i < parents.size(); ++i) {
    Parent parent = parents[i];
    for (pid_t child : TRY(list_children(parent.host_pid))) {
      auto identity = identify(child);
      if (!identity) continue;                            // it ended and was waited for
      if (identity->zombie && parent.pid == 1) continue;  // godwit-init is about to wait for it
      ListedProcess process{child, identity->pid, parent.pid, identity->zombie, {}};
      if (!identity->zombie) {
        auto threads = list_threads(child);
        if (!threads) continue;
        process.host_threads = std::move(*threads);
        parents.push_back({child, identity->pid});
      }
      found.push_back(std::move(process));
    }
  }
  return found;
}

}  // namespace godwit::freeze
