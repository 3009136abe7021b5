#include "sys/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<void> mount_new(const std::string& type, const std::string& target, unsigned long flags,
                       const std::string& data) {
  return checked_void(::mount(type.c_str(), target.c_str(), type.c_str(), flags, data.c_str()), "mount")
      .within(type + " at " + target);
}

Result<void> bind_mount(const std::string& from, const std::string& to, bool recursive) {
  unsigned long flags = MS_BIND | (recursive ? MS_REC : 0);
  return checked_void(::mount(from.c_str(), to.c_str(), nullptr, flags, nullptr), "mount").within(from + " at " + to);
}

Result<void> remount_read_only(const std::string& target) {
  return checked_void(::mount(nullptr, target.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), "mount")
      .within(target + " read-only");
}

Result<void> ignore_set_id_bits() {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID;
  int done = ::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes);
  return checked_void(done, "mount_setattr").within("no set-user-id programs");
}

Result<void> make_all_mounts_private() {
  return checked_void(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "mount").within("private mounts");
}

Result<void> make_all_mounts_slaves() {
  return checked_void(::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), "mount").within("slave mounts");
}

Result<void> unmount(const std::string& target, int flags) {
  return checked_void(::umount2(target.c_str(), flags), "umount").within(target);
}

Result<void> switch_root(const std::string& root) {
  TRY(checked_void(::chdir(root.c_str()), "chdir").within(root));
  // With the same directory for both the old root ends up under the new one, where it is taken off: pivot_root(2),
  // NOTES.
  TRY(checked_void(static_cast<int>(::syscall(SYS_pivot_root, ".", ".")), "pivot_root").within(root));
  TRY(checked_void(::umount2(".", MNT_DETACH), "umount").within("the former root"));
  return checked_void(::chdir("/"), "chdir");
}

}  // namespace godwit::sys
