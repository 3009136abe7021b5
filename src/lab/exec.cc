// A command inside a node, with the caller's terminal; and a node's daemon started anew.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

#include "lab/daemon.h"
#include "lab/lab.h"
#include "lab/lab_cgroup.h"
#include "lab/node.h"
#include "lab/record.h"
#include "sys/child_process.h"

namespace godwit::lab {
namespace {

struct Target {
  Record record;
  LabCgroup cgroup;
  uint32_t node;
  pid_t init;
};

Result<Target> find_target(const std::string& lab, const std::string& node) {
  auto record = valid_lab_name(lab) ? read_record(lab) : error(ErrorKind::gone, lab);
  if (!record)
    return error(ErrorKind::gone, "there is no lab " + lab + "; `godwit lab up 2 --lab " + lab + "` makes it");
  uint32_t number = node_number(*record, node);
  if (number == 0) {
    return error(ErrorKind::gone, "lab " + lab + " has no " + node + ", only node1 to " + node_name(record->nodes));
  }
  pid_t init = TRY(find_node(*record, number));
  return Target{*record, TRY(LabCgroup::of(lab)), number, init};
}

// The caller's environment, but for what leads to a daemon elsewhere; godwit's own programs are found first.
std::vector<std::string> environment_for(const Record& record) {
  std::vector<std::string> environment;
  std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (char** variable = ::environ; *variable != nullptr; ++variable) {
    std::string_view text = *variable;
    if (text.starts_with("PATH=")) {
      path = text.substr(5);
    } else if (!text.starts_with("GODWIT_CONNECT=") && !text.starts_with("GODWIT_LAB=")) {
      environment.emplace_back(text);
    }
  }
  environment.push_back("PATH=" + record.programs + ":" + path);
  return environment;
}

// The signals that meanwhile come to us: what the terminal sends goes to the command anyway, the rest is passed on.
sigset_t signals_while_waiting() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH}) sigaddset(&set, signal);
  return set;
}

Result<int> wait_for_command(pid_t child, const sigset_t& set) {
  for (;;) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) {
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    siginfo_t info = TRY(sys::take_signal(set));
    bool from_terminal = info.si_code == SI_KERNEL;
    if (info.si_signo != SIGCHLD && !from_terminal) (void)sys::send_signal(child, info.si_signo);  // it may have ended
  }
}

}  // namespace

Result<int> exec(const std::string& lab, const std::string& node, std::span<const std::string> command) {
  if (command.empty()) return error(ErrorKind::corrupt, "no command was given");
  auto target = TRY(find_target(lab, node));
  auto environment = environment_for(target.record);
  sigset_t set = signals_while_waiting();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &set, &before);
  auto child = start_inside(target.cgroup, target.node, target.init, [&]() -> Error {
    if (auto bound = sys::die_with_parent(); !bound) return std::move(bound.error());
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return sys::execute(command[0], command, environment);
  });
  Result<int> code = child ? wait_for_command(*child, set) : Result<int>(std::move(child.error()));
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (code || code.error().call != "execve") return code;
  std::string message = command[0] + ": " + ::strerror(code.error().errno_value) + "\n";
  if (::write(STDERR_FILENO, message.data(), message.size()) < 0) return 126;  // nobody to tell
  return code.error().kind == ErrorKind::gone ? 127 : 126;
}

Result<void> start_daemon(const std::string& lab, const std::string& node) {
  auto target = TRY(find_target(lab, node));
  if (find_daemon(target.cgroup, target.node) == 0) TRY(launch_daemon(target.record, target.cgroup, target.node));
  auto deadline = std::chrono::steady_clock::now() + Options().patience;
  return wait_for_daemon(target.record, target.cgroup, target.node, {}, deadline);
}

}  // namespace godwit::lab
