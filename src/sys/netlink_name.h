// The name of a netlink socket: its own port and the multicast groups it belongs to. Source: netlink(7), Linux
// net/netlink/af_netlink.c.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace godwit::sys {

struct NetlinkName {
  uint32_t port = 0;             // 0: not bound
  std::vector<uint32_t> groups;  // by number, ascending
};
Result<NetlinkName> netlink_name(int fd);
// Requires: it has no name yet. Errors: conflict and others when the port is taken or a group is not to be had.
Result<void> set_netlink_name(int fd, const NetlinkName& name);

// The port it is connected to (0: the kernel, or not connected) and the groups.
struct NetlinkPeer {
  uint32_t port, groups;
};
Result<NetlinkPeer> netlink_peer(int fd);

}  // namespace godwit::sys
