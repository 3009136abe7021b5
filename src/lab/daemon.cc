#include "lab/daemon.h"

#include <fcntl.h>

#include <string_view>
#include <thread>
#include <vector>

#include "lab/child_task.h"
#include "lab/node.h"
#include "proc/stat.h"
#include "sys/byte_stream.h"
#include "sys/child_process.h"
#include "sys/text_file.h"
#include "sys/unix_socket.h"

namespace godwit::lab {
namespace {

std::vector<std::string> arguments_of(const Record& record, uint32_t node) {
  std::vector<std::string> arguments{"godwitd", "--node", node_name(node), "--address", node_address(record, node)};
  if (node != 1) arguments.insert(arguments.end(), {"--directory", node_name(1) + "=" + node_address(record, 1)});
  arguments.insert(arguments.end(), {"--metrics", "127.0.0.1:7709"});  // of the node: each has an own network
  if (!record.fault.empty()) arguments.insert(arguments.end(), {"--fault", record.fault});
  if (record.debug) arguments.emplace_back("--debug");
  return arguments;
}

Error become_daemon(const Record& record, uint32_t node) {
  auto prepared = [&]() -> Result<std::string> {
    auto null = TRY(sys::open_file("/dev/null", O_RDONLY));
    auto log = TRY(sys::open_file("/run/godwit/godwitd.log", O_WRONLY | O_CREAT | O_APPEND, 0644));
    TRY(sys::set_standard_streams(null.get(), log.get(), log.get()));
    TRY(sys::close_others_on_exec(3));
    TRY(sys::new_session());
    return find_program(record.programs, "godwitd");
  }();
  if (!prepared) return std::move(prepared.error());
  sys::reset_signals();
  const std::string environment[] = {
      "PATH=" + record.programs + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"};
  return sys::execute(*prepared, arguments_of(record, node), environment);
}

// The last few lines of the daemon's log, as one.
std::string last_words(const std::string& lab, uint32_t node) {
  std::string text = sys::read_text(daemon_log(lab, node)).value_or("");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  constexpr size_t kLength = 400;
  if (text.size() > kLength) text = "..." + text.substr(text.size() - kLength);
  for (char& c : text) c = c == '\n' ? ';' : c;
  return text.empty() ? "it said nothing" : text;
}

}  // namespace

std::string daemon_socket(const std::string& lab, uint32_t node) {
  return node_run_directory(lab, node) + "/godwitd.sock";
}
std::string daemon_log(const std::string& lab, uint32_t node) { return node_run_directory(lab, node) + "/godwitd.log"; }

Result<void> launch_daemon(const Record& record, const LabCgroup& cgroup, uint32_t node) {
  pid_t init = TRY(find_node(record, node));
  // The daemon is the child of a child inside the node, so that when that ends the node's pid 1 becomes its parent.
  auto start = [&]() -> Result<std::string> {
    auto between = [&]() -> Error {
      auto started = start_in_child([&] { return become_daemon(record, node); });
      if (!started) return std::move(started.error());
      const std::string nothing[] = {"true"};
      return sys::execute("/bin/true", nothing, {});
    };
    pid_t child = TRY(start_inside(cgroup, node, init, between));
    TRY(sys::wait_for_child(child));
    return std::string();
  };
  TRY(run_in_child(start).within(node_name(node)));
  return {};
}

pid_t find_daemon(const LabCgroup& cgroup, uint32_t node) {
  for (pid_t pid : cgroup.processes(node_name(node))) {
    auto text = sys::read_text("/proc/" + std::to_string(pid) + "/stat");
    if (!text) continue;
    auto stat = proc::parse_stat(*text);
    if (stat && stat->name == "godwitd" && stat->state != 'Z') return pid;
  }
  return 0;
}

bool accepts_connections(const std::string& socket) { return sys::connect_unix(socket).has_value(); }

Result<void> wait_for_daemon(const Record& record, const LabCgroup& cgroup, uint32_t node,
                             const std::function<bool(const std::string&)>& answers,
                             std::chrono::steady_clock::time_point deadline) {
  std::string socket = daemon_socket(record.lab, node);
  while (!(answers ? answers(socket) : accepts_connections(socket))) {
    if (find_daemon(cgroup, node) == 0) {
      return error(ErrorKind::gone, "godwitd of " + node_name(node) + " ended: " + last_words(record.lab, node));
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return error(ErrorKind::exhausted,
                   "godwitd of " + node_name(node) + " does not answer: " + last_words(record.lab, node));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {};
}

}  // namespace godwit::lab
