// Multicast groups: which are joined in a network namespace, and which of them by a socket. Source: ip(7), ipv6(7),
// /proc/net/igmp, /proc/net/igmp6, RFC 3678 (MCAST_JOIN_GROUP, MCAST_MSFILTER).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::sys {

struct MulticastGroup {
  uint32_t interface;
  std::string address;  // sockaddr
};
// From the text of /proc/net/igmp and /proc/net/igmp6.
std::vector<MulticastGroup> parse_groups(std::string_view igmp, std::string_view igmp6);
// Of the network namespace of a process.
Result<std::vector<MulticastGroup>> joined_groups(pid_t pid);

struct Membership {
  MulticastGroup group;
  std::string filter;  // struct group_filter with its sources; empty: from everybody
};
// Those of `groups` that this socket is a member of.
std::vector<Membership> memberships_of(int fd, int family, const std::vector<MulticastGroup>& groups);
Result<void> join_group(int fd, int family, const Membership& membership);

}  // namespace godwit::sys
