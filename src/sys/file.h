// Files by path and by descriptor: open(2), pread(2), pwrite(2), lseek(2) SEEK_DATA, readlink(2), fstat(2) and what
// changes names.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Always close-on-exec.
Result<UniqueFd> open_path(const std::string& path, int flags, unsigned mode = 0);
Result<UniqueFd> duplicate(int fd);
// A new description of what `fd` shows, through /proc/self/fd; works for O_PATH and unlinked files.
Result<UniqueFd> reopen(int fd, int flags);
Result<std::string> read_link(const std::string& path);
// What the kernel calls the file of one of our descriptors: its path, or "pipe:[5]" and the like.
Result<std::string> link_of(int fd);

// Exactly as many bytes as `into` holds; bytes behind the end of the file are zero.
Result<void> read_at(int fd, uint64_t offset, std::span<std::byte> into);
// As many as there are.
Result<size_t> try_read_at(int fd, uint64_t offset, std::span<std::byte> into);
Result<void> write_at(int fd, uint64_t offset, std::span<const std::byte> bytes);
// One write(2) at the end of a file open with O_APPEND: all or nothing.
Result<void> append(int fd, std::span<const std::byte> bytes);

struct Extent {
  uint64_t start;
  uint64_t end;  // half-open, bytes
};
// The next range with data at or behind `offset`; nothing when only a hole is left. File systems that do not know holes
// say that all is data.
Result<std::optional<Extent>> next_data(int fd, uint64_t offset);

Result<void> seek_to(int fd, uint64_t offset);
Result<uint64_t> file_size(int fd);
Result<struct stat> status_of(int fd);
// ErrorKind::gone when there is nothing. Follows links.
Result<struct stat> status_of(const std::string& path);
Result<void> set_size(int fd, uint64_t size);
// The range reads as zeros and takes no memory: fallocate(2), FALLOC_FL_PUNCH_HOLE.
Result<void> punch_hole(int fd, uint64_t offset, uint64_t length);
Result<void> set_modification_time(int fd, int64_t mtime_ns);
Result<void> make_directory(const std::string& path, unsigned mode);
Result<void> make_fifo(const std::string& path, unsigned mode);
Result<void> make_link(const std::string& target, const std::string& path);
Result<void> set_owner(const std::string& path, uid_t uid, gid_t gid);
Result<void> set_mode(int fd, unsigned mode);
Result<void> rename_path(const std::string& from, const std::string& to);
Result<void> remove_path(const std::string& path);
// Effective user and group ids of this process, for what must be done with another's rights. Root again with 0, 0.
Result<void> act_as(uid_t uid, gid_t gid, std::span<const gid_t> groups);

// Who is told when a description with O_ASYNC becomes ready, and by which signal (0: SIGIO): fcntl(2), F_SETOWN_EX.
// `type`: F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP; pids as this process sees them.
struct FileOwner {
  int type;
  pid_t pid;
  int signal;
};
Result<FileOwner> file_owner(int fd);
Result<void> set_file_owner(int fd, const FileOwner& owner);

}  // namespace godwit::sys
