#include "sys/namespace_visit.h"

#include <fcntl.h>
#include <sched.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<MountNamespace> MountNamespace::of(int pidfd) {
  UniqueFd home(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!home.valid()) return last_error("open", "/proc/self/ns/mnt");
  UniqueFd there(::fcntl(pidfd, F_DUPFD_CLOEXEC, 0));
  if (!there.valid()) return last_error("fcntl(F_DUPFD_CLOEXEC)");
  return MountNamespace(std::move(there), std::move(home));
}

Result<MountNamespace::Visit> MountNamespace::visit() const {
  if (::setns(there_.get(), CLONE_NEWNS) != 0) return last_error("setns", "the job's mount namespace");
  return Visit(home_.get());
}

MountNamespace::Visit::~Visit() {
  if (home_ >= 0) CHECK(::setns(home_, CLONE_NEWNS) == 0);  // in the wrong namespace nothing we do would be right
}

}  // namespace godwit::sys
