// Starts a program on a console: a child of init in its own session, with the owner's credentials, in the cgroup of
// what moves.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include <vector>

#include "init/console.h"

namespace godwit::init {

struct Program {
  uint32_t uid, gid;
  std::vector<uint32_t> groups;
  const char* directory;
  std::vector<char*> arguments;    // ends with null
  std::vector<char*> environment;  // ends with null
};

// Returns the pid, or -errno of what failed (exec included). `cgroup_fd`: directory of the cgroup.
pid_t spawn(const Program& program, const Console& console, int cgroup_fd);

}  // namespace godwit::init
