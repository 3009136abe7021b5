// Survivor: a process beside this one that shares its memory and descriptors, and writes a word to a file when this one
// is killed. Until it has, none of our descriptors is closed: what others wait for at them (userfaultfd) goes on to
// hold them. Nothing is copied for it, so that it costs nothing later. Source: clone(2), CLONE_VM and CLONE_FILES;
// pidfd_open(2).
//
// Requires: no setns(2) into a user or time namespace while it lives, which wants a process that shares its memory with
// nobody.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class Survivor {
 public:
  // `path`: opened when it is written to; at most a few hundred characters.
  static Result<Survivor> start(const std::string& path, const std::string& word);
  // It ends without having written.
  ~Survivor();
  Survivor(Survivor&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), self_(std::move(other.self_)), will_(std::exchange(other.will_, nullptr)) {}
  Survivor& operator=(Survivor&&) = delete;

  // From now on our death is to be followed by the write.
  void arm();

 private:
  struct Will;
  Survivor(pid_t pid, UniqueFd self, Will* will) : pid_(pid), self_(std::move(self)), will_(will) {}
  static int wait_and_write(void* will);

  pid_t pid_;      // 0: moved from
  UniqueFd self_;  // a pidfd of this process
  Will* will_;
};

}  // namespace godwit::sys
