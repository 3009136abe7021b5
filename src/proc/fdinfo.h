// /proc/PID/fdinfo/N as values. A pure function of text. Source: proc_pid_fdinfo(5); Linux fs/eventpoll.c,
// fs/timerfd.c, fs/eventfd.c, fs/signalfd.c (their show_fdinfo functions), fs/locks.c (lock_get_status),
// fs/notify/fdinfo.c.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::proc {

// What is locked through this description: by itself, or by the process whose fdinfo it is.
struct FileLock {
  enum class Kind { posix, flock, description, other };  // other: leases
  Kind kind = Kind::other;
  bool exclusive = false;
  uint64_t start = 0, length = 0;  // bytes; length 0: to the end of the file
};

struct FdInfo {
  uint64_t position = 0;
  uint32_t flags = 0;                                      // octal in the text; O_CLOEXEC is the descriptor's own
  std::map<std::string, std::string, std::less<>> fields;  // every "name: value" line, the first of a name
  struct EpollTarget {
    int32_t number;
    uint32_t events;
    uint64_t data;
  };
  std::vector<EpollTarget> epoll_targets;
  struct InotifyWatch {
    int32_t watch;
    uint32_t mask;
    uint64_t device, inode;  // device as st_dev
    int32_t handle_type;     // and `handle`: see open_by_handle_at(2); empty where the file system has none
    std::string handle;
  };
  std::vector<InotifyWatch> inotify_watches;
  std::vector<FileLock> locks;

  std::string_view field(std::string_view name) const;
  uint64_t number(std::string_view name, int base) const;  // 0 when absent
};

Result<FdInfo> parse_fdinfo(std::string_view text);

}  // namespace godwit::proc
