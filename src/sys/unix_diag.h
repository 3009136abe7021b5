// What the kernel tells about the unix sockets of one network namespace: sock_diag(7), Linux net/unix/diag.c.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

struct UnixSocketRecord {
  uint32_t type = 0, state = 0;
  uint64_t peer = 0;                         // inode of the other end; 0: none, or one that nobody has a descriptor of
  uint32_t file_inode = 0, file_device = 0;  // of its name in the file system; device as the kernel numbers it
  uint32_t queued_bytes = 0;                 // listening: connections that wait
  uint32_t backlog = 0;                      // listening
  uint32_t unread_bytes = 0;                 // sent and not yet received by the other end
  uint8_t shutdown = 0;                      // 1: receives no more, 2: sends no more
  std::vector<uint64_t> waiting;             // listening: inodes of those that wait to be accepted, the first first
};

class UnixDiag {
 public:
  static Result<UnixDiag> open(int pidfd);
  // By inode. Those that nobody has a descriptor of are left out.
  Result<std::map<uint64_t, UnixSocketRecord>> read() const;

 private:
  explicit UnixDiag(UniqueFd netlink) : netlink_(std::move(netlink)) {}
  UniqueFd netlink_;
};

}  // namespace godwit::sys
