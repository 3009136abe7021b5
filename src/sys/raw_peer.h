// Whom a raw or ping socket is connected to: getpeername(2) does not tell when no port was given. From
// /proc/PID/net/raw, raw6, icmp and icmp6. Source: proc_pid_net(5), Linux net/ipv4/raw.c (raw_sock_seq_show),
// net/ipv6/datagram.c (__ip6_dgram_sock_seq_show).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/socket_options.h"

namespace godwit::sys {

// From the text of such a file: sockaddr; empty: the socket is not connected, or not there.
std::string parse_raw_peer(std::string_view text, int family, uint64_t inode);
// In the network namespace of a process.
Result<std::string> raw_peer(pid_t pid, const SocketShape& shape, uint64_t inode);

}  // namespace godwit::sys
