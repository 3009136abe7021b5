#include "coprocess/job_mounts.h"

#include <sys/mount.h>

#include <filesystem>

#include "sys/interface.h"
#include "sys/mount.h"

namespace godwit::coprocess {

Result<void> make_job_mounts() {
  TRY(sys::make_all_mounts_slaves());
  TRY(sys::mount_new("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC));
  TRY(sys::mount_new("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
  std::error_code ignored;
  if (!std::filesystem::is_symlink("/dev/ptmx", ignored)) TRY(sys::bind_mount("/dev/pts/ptmx", "/dev/ptmx"));
  if (std::filesystem::is_directory("/dev/mqueue", ignored)) {
    TRY(sys::mount_new("mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC));
  }
  if (std::filesystem::is_directory("/dev/shm", ignored)) {
    TRY(sys::mount_new("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"));
  }
  return {};
}

Result<void> bring_loopback_up() { return sys::bring_interface_up("lo"); }

}  // namespace godwit::coprocess
