#include "sys/file_lock.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <thread>

#include "sys/errno.h"

namespace godwit::sys {
namespace {

bool still_at(int fd, const std::string& path) {
  struct stat held, there;
  return ::fstat(fd, &held) == 0 && ::stat(path.c_str(), &there) == 0 && held.st_dev == there.st_dev &&
         held.st_ino == there.st_ino;
}

}  // namespace

Result<UniqueFd> lock_directory(const std::string& path, std::chrono::milliseconds patience) {
  auto end = std::chrono::steady_clock::now() + patience;
  do {
    if (::mkdir(path.c_str(), 0755) < 0 && errno != EEXIST) return last_error("mkdir", path);
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.valid() && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 && still_at(fd.get(), path)) return fd;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  } while (std::chrono::steady_clock::now() < end);
  return error(ErrorKind::retry, path + " is locked by another process");
}

Result<void> change_flock(int fd, int operation) { return checked_void(::flock(fd, operation), "flock"); }

Result<void> change_description_lock(int fd, struct flock wanted) {
  return checked_void(::fcntl(fd, F_OFD_SETLK, &wanted), "fcntl(F_OFD_SETLK)");
}

}  // namespace godwit::sys
