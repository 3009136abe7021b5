// What a socket is, and small changes of its state. Source: socket(7), tcp(7), ipv6(7).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/socket_options.h"

namespace godwit::sys {

struct SocketKind {
  SocketShape shape;
  int tcp_state;                           // as in sys/tcp_repair.h, of a TCP socket; 0: it is not told
  bool is_tcp, is_udp, is_raw, listening;  // is_raw: or of ICMP
  std::string name;                        // stable: "tcp.established", "unix.stream", "udp", "netlink", ...
  std::string description;                 // for a person
};
Result<SocketKind> socket_kind(int fd);

struct ListenerState {
  uint32_t backlog;
  uint32_t waiting;  // connections not yet accepted
};
Result<ListenerState> listener_state(int fd);

// The network namespace a socket belongs to: SO_NETNS_COOKIE, the same for all of one.
Result<uint64_t> network_of(int fd);
// Of the calling thread's network namespace, close-on-exec.
Result<UniqueFd> make_socket(const SocketShape& shape);
Result<void> listen_on(int fd, int backlog);
Result<UniqueFd> accept_from(int listening);
Result<void> set_blocking(int fd, bool blocking);
// Status flags, all of them.
Result<void> set_file_flags(int fd, uint32_t flags);
Result<void> set_socket_owner(int fd, uid_t uid, gid_t gid);
uint16_t port_of(const std::string& address);
// The end of what will ever be received has been reached, or shutdown(2) said so.
bool receives_no_more(int fd);
// Without waiting for the answer, whatever the file's flags.
Result<void> begin_to_connect(int fd, const std::string& address);
// Receives, or sends, no more.
Result<void> shut_down(int fd, bool receiving, bool sending);

}  // namespace godwit::sys
