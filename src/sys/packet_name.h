// What a packet socket listens to, and what the kernel tells of those of a network namespace. Source: packet(7),
// sock_diag(7), linux/packet_diag.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace godwit::sys {

struct PacketName {
  uint16_t protocol;  // ETH_P_*, in the host's order; 0: nothing
  int32_t interface;  // 0: all
};
Result<PacketName> packet_name(int fd);
Result<void> set_packet_name(int fd, const PacketName& name);

struct PacketMembership {
  int32_t interface;
  uint16_t type;   // PACKET_MR_*
  uint32_t count;  // how many times it was asked for
  std::string address;
};
// Once. Errors: corrupt for an address that is too long.
Result<void> join_packets(int fd, const PacketMembership& membership);

struct PacketRecord {
  bool ring = false, fanout = false;
  std::vector<PacketMembership> memberships;
};
// By inode. `netlink`: of NETLINK_SOCK_DIAG, in that network namespace.
Result<std::map<uint64_t, PacketRecord>> packet_sockets(int netlink);

}  // namespace godwit::sys
