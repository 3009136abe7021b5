#include "sys/device_node.h"

#include <sys/stat.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<void> copy_device_node(const std::string& from, const std::string& to) {
  struct stat info;
  TRY(checked_void(::stat(from.c_str(), &info), "stat").within(from));
  if (!S_ISCHR(info.st_mode)) return error(ErrorKind::gone, from + " is not a character device");
  TRY(checked_void(::mknod(to.c_str(), info.st_mode, info.st_rdev), "mknod").within(to));
  TRY(checked_void(::chmod(to.c_str(), info.st_mode & 07777), "chmod").within(to));
  return checked_void(::chown(to.c_str(), info.st_uid, info.st_gid), "chown").within(to);
}

}  // namespace godwit::sys
