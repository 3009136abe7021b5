// Options of sockets, read and set again by a table of what can be: socket(7), ip(7), ipv6(7), tcp(7), udp(7), unix(7),
// netlink(7), raw(7), packet(7).
//
// Only those that differ from a socket just made of the same kind are worth telling, and those a node may have other
// defaults for. What comes from a peer is set only when the table has it and its size is right.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/result.h"

namespace godwit::sys {

struct SocketOptionValue {
  int32_t level, name;
  std::string bytes;
};

struct SocketShape {
  int family, type, protocol;
  auto operator<=>(const SocketShape&) const = default;
};
Result<SocketShape> shape_of(int fd);

// Every option in the table that this kind of socket has.
std::vector<SocketOptionValue> read_options(int fd, const SocketShape& shape);
// `values` without those that are the same in `defaults`.
std::vector<SocketOptionValue> changed_options(std::vector<SocketOptionValue> values,
                                               const std::vector<SocketOptionValue>& defaults);
// Brings what changed_options() told before up to date for a socket on which nothing was set since: the kernel itself
// changes some, buffers that it tunes for example.
void read_moving_options(int fd, const SocketShape& shape, const std::vector<SocketOptionValue>& defaults,
                         std::vector<SocketOptionValue>& changed);
// Errors: corrupt when a value cannot have come from read_options(); denied and others when the kernel refuses one.
enum class OptionTime { any, before_bind, after_bind };  // `any`: all of them
Result<void> set_options(int fd, const SocketShape& shape, const std::vector<SocketOptionValue>& values,
                         OptionTime time = OptionTime::any);
// Buffers of at least this size, whatever the limits, until set_options() gives the real ones.
Result<void> enlarge_send_buffer(int fd, int bytes);
// SO_LINGER of no time: its close sends nothing more and tells the peer so.
Result<void> reset_when_closed(int fd);
// It says all it has, as it did before.
Result<void> speak_when_closed(int fd);
Result<void> enlarge_receive_buffer(int fd, int bytes);
// One integer option.
Result<int> read_option(int fd, int level, int name);
Result<void> set_option(int fd, int level, int name, int value);

}  // namespace godwit::sys
