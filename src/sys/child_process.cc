#include "sys/child_process.h"

#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string_view>
#include <vector>

#include "sys/errno.h"

namespace godwit::sys {
namespace {

std::vector<char*> pointers_to(std::span<const std::string> strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Where to look for the program, in order.
std::vector<std::string> candidates(const std::string& program, std::span<const std::string> environment) {
  if (program.contains('/')) return {program};
  std::string_view path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& variable : environment) {
    if (variable.starts_with("PATH=")) path = std::string_view(variable).substr(5);
  }
  std::vector<std::string> found;
  while (!path.empty()) {
    size_t end = std::min(path.find(':'), path.size());
    found.push_back(std::string(path.substr(0, end)) + "/" + program);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return found;
}

}  // namespace

Result<pid_t> fork_child() { return checked(::fork(), "fork"); }

Result<int> wait_for_child(pid_t pid) {
  for (;;) {
    int status = 0;
    if (::waitpid(pid, &status, 0) == pid) return status;
    if (errno != EINTR) return last_error("waitpid");
  }
}

Error execute(const std::string& program, std::span<const std::string> arguments,
              std::span<const std::string> environment) {
  auto argument_pointers = pointers_to(arguments);
  auto environment_pointers = pointers_to(environment);
  int reason = ENOENT;
  for (const std::string& path : candidates(program, environment)) {
    ::execve(path.c_str(), argument_pointers.data(), environment_pointers.data());
    if (errno == ENOENT || errno == ENOTDIR) continue;
    reason = errno;
    if (reason != EACCES) break;
  }
  return Error{kind_of(reason), reason, "execve", program};
}

Result<void> send_signal(pid_t pid, int signal) { return checked_void(::kill(pid, signal), "kill"); }

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<void> die_with_parent() { return checked_void(::prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl"); }

Result<void> new_session() { return checked_void(::setsid(), "setsid"); }

Result<void> set_standard_streams(int in, int out, int err) {
  int wanted[] = {in, out, err};
  for (int fd = 0; fd < 3; ++fd) {
    if (wanted[fd] != fd) TRY(checked_void(::dup2(wanted[fd], fd), "dup2"));
  }
  return {};
}

Result<void> close_others_on_exec(int first) {
  return checked_void(::close_range(static_cast<unsigned>(first), ~0u, CLOSE_RANGE_CLOEXEC), "close_range");
}

Result<siginfo_t> take_signal(const sigset_t& set) {
  for (;;) {
    siginfo_t info{};
    if (::sigwaitinfo(&set, &info) > 0) return info;
    if (errno != EINTR) return last_error("sigwaitinfo");
  }
}

}  // namespace godwit::sys
