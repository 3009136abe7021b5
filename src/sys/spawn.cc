#include "sys/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "sys/errno.h"

namespace godwit::sys {

Result<pid_t> spawn_program(const std::vector<std::string>& arguments, const std::vector<std::string>& added, int fd,
                            int number) {
  UniqueFd high(::fcntl(fd, F_DUPFD_CLOEXEC, number + 1));  // dup2 onto itself would leave it close-on-exec
  if (!high.valid()) return last_error("fcntl(F_DUPFD_CLOEXEC)");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, high.get(), number);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t every;
  sigfillset(&every);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &every);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  std::vector<char*> environment;
  for (const std::string& variable : added) environment.push_back(const_cast<char*>(variable.c_str()));
  for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
  environment.push_back(nullptr);
  pid_t pid = -1;
  int failed = ::posix_spawn(&pid, pointers[0], &actions, &attributes, pointers.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) return Error{kind_of(failed), failed, "posix_spawn", arguments[0]};
  return pid;
}

std::vector<pid_t> reap_children() {
  std::vector<pid_t> ended;
  pid_t pid;
  while ((pid = ::waitpid(-1, nullptr, WNOHANG)) > 0) ended.push_back(pid);
  return ended;
}

Result<void> adopt_orphans() { return checked_void(::prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl"); }

}  // namespace godwit::sys
