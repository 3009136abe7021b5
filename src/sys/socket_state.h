// What a socket is, and listening TCP sockets made like another. Source: socket(7), tcp(7), ipv6(7).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

struct SocketKind {
  uint32_t family;
  bool is_tcp, listening;
  std::string name;         // stable: "tcp.established", "unix.stream", "udp", "netlink", ...
  std::string description;  // for a person
};
Result<SocketKind> socket_kind(int fd);

struct SocketOptionValue {
  int32_t level, name;
  std::string bytes;
};
struct ListenerState {
  std::string address;  // struct sockaddr
  uint32_t backlog;
  uint32_t waiting;  // connections not yet accepted
  std::vector<SocketOptionValue> options;
};
Result<ListenerState> listener_state(int fd);
// In the network namespace of the calling thread. Options come from a peer: only those that listener_state reports are
// set.
Result<UniqueFd> make_listener(uint32_t family, const ListenerState& state, int flags);

}  // namespace godwit::sys
