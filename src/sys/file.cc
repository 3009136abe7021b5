#include "sys/file.h"

#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include <climits>
#include <cstdio>

#include "sys/errno.h"

namespace godwit::sys {

Result<UniqueFd> open_path(const std::string& path, int flags, unsigned mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.valid()) return last_error("open", path);
  return fd;
}

Result<UniqueFd> duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return last_error("fcntl(F_DUPFD_CLOEXEC)");
  return copy;
}

Result<UniqueFd> reopen(int fd, int flags) { return open_path("/proc/self/fd/" + std::to_string(fd), flags); }

Result<std::string> read_link(const std::string& path) {
  char target[PATH_MAX];
  ssize_t length = ::readlink(path.c_str(), target, sizeof target);
  if (length < 0) return last_error("readlink", path);
  return std::string(target, static_cast<size_t>(length));
}

Result<std::string> link_of(int fd) { return read_link("/proc/self/fd/" + std::to_string(fd)); }

Result<size_t> try_read_at(int fd, uint64_t offset, std::span<std::byte> into) {
  size_t have = 0;
  while (have < into.size()) {
    ssize_t count = ::pread(fd, into.data() + have, into.size() - have, static_cast<off_t>(offset + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error("pread");
    if (count == 0) break;
    have += static_cast<size_t>(count);
  }
  return have;
}

Result<void> read_at(int fd, uint64_t offset, std::span<std::byte> into) {
  size_t have = TRY(try_read_at(fd, offset, into));
  std::fill(into.begin() + static_cast<ptrdiff_t>(have), into.end(), std::byte{0});
  return {};
}

Result<void> write_at(int fd, uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return last_error("pwrite");
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

Result<void> append(int fd, std::span<const std::byte> bytes) {
  ssize_t count = ::write(fd, bytes.data(), bytes.size());
  if (count != static_cast<ssize_t>(bytes.size())) return last_error("write");
  return {};
}

Result<std::optional<Extent>> next_data(int fd, uint64_t offset) {
  off_t start = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (start < 0 && errno == ENXIO) return std::optional<Extent>();
  if (start < 0) return last_error("lseek(SEEK_DATA)");
  off_t end = ::lseek(fd, start, SEEK_HOLE);
  if (end < 0) return last_error("lseek(SEEK_HOLE)");
  return std::optional<Extent>(Extent{static_cast<uint64_t>(start), static_cast<uint64_t>(end)});
}

Result<void> seek_to(int fd, uint64_t offset) {
  if (::lseek(fd, static_cast<off_t>(offset), SEEK_SET) < 0) return last_error("lseek");
  return {};
}

Result<uint64_t> file_size(int fd) { return static_cast<uint64_t>(TRY(status_of(fd)).st_size); }

Result<struct stat> status_of(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return last_error("fstat");
  return status;
}

Result<struct stat> status_of(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return last_error("stat", path);
  return status;
}

Result<void> set_size(int fd, uint64_t size) {
  return checked_void(::ftruncate(fd, static_cast<off_t>(size)), "ftruncate");
}

Result<void> punch_hole(int fd, uint64_t offset, uint64_t length) {
  constexpr int kHow = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return checked_void(::fallocate(fd, kHow, static_cast<off_t>(offset), static_cast<off_t>(length)), "fallocate");
}

Result<void> set_modification_time(int fd, int64_t mtime_ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  timespec times[2] = {{0, UTIME_OMIT}, {mtime_ns / kSecond, mtime_ns % kSecond}};
  return checked_void(::futimens(fd, times), "futimens");
}

Result<void> make_directory(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) != 0) return last_error("mkdir", path);
  return {};
}

Result<void> make_fifo(const std::string& path, unsigned mode) {
  if (::mkfifo(path.c_str(), mode) != 0) return last_error("mkfifo", path);
  return {};
}

Result<void> make_link(const std::string& target, const std::string& path) {
  if (::symlink(target.c_str(), path.c_str()) != 0) return last_error("symlink", path);
  return {};
}

Result<void> set_owner(const std::string& path, uid_t uid, gid_t gid) {
  if (::lchown(path.c_str(), uid, gid) != 0) return last_error("lchown", path);
  return {};
}

Result<void> set_mode(int fd, unsigned mode) { return checked_void(::fchmod(fd, mode), "fchmod"); }

Result<void> rename_path(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return last_error("rename", to);
  return {};
}

Result<void> remove_path(const std::string& path) {
  if (std::remove(path.c_str()) != 0) return last_error("remove", path);
  return {};
}

Result<void> act_as(uid_t uid, gid_t gid, std::span<const gid_t> groups) {
  if (uid == 0 && ::seteuid(0) != 0) return last_error("seteuid");
  if (::setgroups(groups.size(), groups.data()) != 0) return last_error("setgroups");
  if (::setegid(gid) != 0) return last_error("setegid");
  if (uid != 0 && ::seteuid(uid) != 0) return last_error("seteuid");
  return {};
}

Result<FileOwner> file_owner(int fd) {
  f_owner_ex owner{};
  if (::fcntl(fd, F_GETOWN_EX, &owner) != 0) return last_error("fcntl(F_GETOWN_EX)");
  return FileOwner{owner.type, owner.pid, TRY(checked(::fcntl(fd, F_GETSIG), "fcntl(F_GETSIG)"))};
}

Result<void> set_file_owner(int fd, const FileOwner& owner) {
  f_owner_ex told{static_cast<decltype(f_owner_ex::type)>(owner.type), owner.pid};
  TRY(checked_void(::fcntl(fd, F_SETOWN_EX, &told), "fcntl(F_SETOWN_EX)"));
  return checked_void(::fcntl(fd, F_SETSIG, owner.signal), "fcntl(F_SETSIG)");
}

}  // namespace godwit::sys
