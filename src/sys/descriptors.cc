#include "sys/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "sys/errno.h"

namespace godwit::sys {

Result<UniqueFd> duplicate_above(int fd, int from) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, from));
  if (!copy.valid()) return last_error("fcntl(F_DUPFD_CLOEXEC)");
  return copy;
}

Result<void> duplicate_to(int fd, int number, bool close_on_exec) {
  return checked_void(::dup3(fd, number, close_on_exec ? O_CLOEXEC : 0), "dup3");
}

void grow_descriptor_table(size_t descriptions) {
  rlimit before{};
  if (::getrlimit(RLIMIT_NOFILE, &before) != 0) return;
  reserve_descriptors(descriptions);
  (void)::setrlimit(RLIMIT_NOFILE, &before);
}

void reserve_descriptors(size_t descriptions) {
  constexpr size_t kOthers = 512;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
  UniqueFd lowest(::open("/", O_PATH | O_CLOEXEC));
  auto highest = std::min<size_t>(static_cast<size_t>(lowest.get()) + kOthers + 2 * descriptions, limit.rlim_cur - 1);
  UniqueFd made(::fcntl(lowest.get(), F_DUPFD_CLOEXEC, static_cast<int>(highest)));
}

Result<void> make_private_directory(const std::string& path, uid_t uid, gid_t gid) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return last_error("mkdir", path);
  // Opened without following links: the place may be one where others can write.
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.valid()) return last_error("open", path);
  if (::fchown(directory.get(), uid, gid) != 0) return last_error("fchown", path);
  return checked_void(::fchmod(directory.get(), 0700), "fchmod");
}

}  // namespace godwit::sys
