// /proc/PID/fdinfo/N as values. A pure function of text. Source: proc_pid_fdinfo(5); Linux fs/eventpoll.c,
// fs/timerfd.c, fs/eventfd.c, fs/signalfd.c (their show_fdinfo functions).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::proc {

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
  std::vector<std::string> locks;

  std::string_view field(std::string_view name) const;
  uint64_t number(std::string_view name, int base) const;  // 0 when absent
};

Result<FdInfo> parse_fdinfo(std::string_view text);

}  // namespace godwit::proc
