#include "sys/directory_entry.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

Result<UniqueFd> open_guarded(int directory, const std::string& path, int flags, unsigned mode, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
  if (!fd.valid() && (errno == ELOOP || errno == EXDEV)) {
    Error error = last_error("openat2", path);
    error.kind = ErrorKind::conflict;
    return error;
  }
  if (!fd.valid()) return last_error("openat2", path);
  return fd;
}

}  // namespace

Result<UniqueFd> open_without_links(const std::string& path, int flags) {
  return open_guarded(AT_FDCWD, path, flags, 0, 0);
}

Result<UniqueFd> open_beneath(int directory, const std::string& path, int flags, unsigned mode) {
  return open_guarded(directory, path, flags, mode, RESOLVE_BENEATH);
}

Result<struct stat> status_of_entry(int directory, const std::string& name) {
  struct stat status;
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return last_error("fstatat", name);
  return status;
}

Result<void> make_directory_in(int directory, const std::string& name, unsigned mode) {
  if (::mkdirat(directory, name.c_str(), mode) != 0) return last_error("mkdirat", name);
  return {};
}

Result<void> make_fifo_in(int directory, const std::string& name, unsigned mode) {
  if (::mkfifoat(directory, name.c_str(), mode) != 0) return last_error("mkfifoat", name);
  return {};
}

Result<void> make_link_in(int directory, const std::string& name, const std::string& target) {
  if (::symlinkat(target.c_str(), directory, name.c_str()) != 0) return last_error("symlinkat", name);
  return {};
}

Result<void> remove_entry(int directory, const std::string& name) {
  if (::unlinkat(directory, name.c_str(), 0) == 0) return {};
  bool is_directory = errno == EISDIR || errno == EPERM;  // EPERM is what POSIX says, EISDIR what Linux does
  if (is_directory && ::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) return {};
  return last_error("unlinkat", name);
}

Result<void> rename_to_new(Entry from, Entry to) {
  int done = ::renameat2(from.directory, from.name.c_str(), to.directory, to.name.c_str(), RENAME_NOREPLACE);
  if (done != 0) return last_error("renameat2", to.name);
  return {};
}

Result<void> exchange(Entry one, Entry other) {
  int done = ::renameat2(one.directory, one.name.c_str(), other.directory, other.name.c_str(), RENAME_EXCHANGE);
  if (done != 0) return last_error("renameat2", other.name);
  return {};
}

Result<void> set_owner(int fd, uid_t uid, gid_t gid) { return checked_void(::fchown(fd, uid, gid), "fchown"); }

bool may_access(const std::string& path, int rights) {
  return ::faccessat(AT_FDCWD, path.c_str(), rights, AT_EACCESS) == 0;
}

}  // namespace godwit::sys
