// A tunnel: an interface that wraps packets into UDP for whichever machine the route of each says (netlink_route.h),
// and takes in what other machines wrapped. VXLAN without Ethernet headers: no addresses to resolve, nothing to learn.
// Source: ip-link(8) (vxlan external gpe), RFC 7348, Linux 6.18 drivers/net/vxlan/vxlan_core.c.
#pragma once

#include <cstdint>
#include <string>

#include "sys/netlink.h"

namespace godwit::sys {

inline constexpr uint64_t kTunnelId = 0x676f64;  // of every packet in it
// IP header of version 4, UDP, VXLAN.
inline constexpr uint32_t kTunnelHeaders = 20 + 8 + 8;

// One that is there stays as it is.
void add_tunnel(NetlinkBatch& batch, const std::string& name, uint16_t port);
// The port of a tunnel that is there. Errors: gone when there is none.
Result<uint16_t> tunnel_port(Netlink& netlink, const std::string& name);

}  // namespace godwit::sys
