#include "sys/own_proc.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "sys/errno.h"

namespace godwit::sys {

namespace {

constexpr int kDirectory = O_PATH | O_DIRECTORY | O_CLOEXEC;

Result<UniqueFd> open_detached() {
  UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC)));
  if (!context.valid()) return last_error("fsopen", "proc");
  TRY(checked_void(static_cast<int>(::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0)),
                   "fsconfig"));
  UniqueFd mount(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  if (!mount.valid()) return last_error("fsmount", "proc");
  UniqueFd self(::openat(mount.get(), "self", kDirectory));
  if (!self.valid()) return last_error("openat", "self in a new /proc");
  return self;
}

}  // namespace

Result<int> own_proc() {
  static UniqueFd directory;
  static pid_t owner = 0;
  if (directory.valid() && owner == ::getpid()) return directory.get();  // a forked child has another
  UniqueFd self(::open("/proc/self", kDirectory));
  directory = self.valid() ? std::move(self) : TRY(open_detached());
  owner = ::getpid();
  return directory.get();
}

}  // namespace godwit::sys
