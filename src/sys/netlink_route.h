// Routes: set, removed and asked for. Source: rtnetlink(7), ip-route(8), Linux 6.18 net/ipv4/ip_tunnel_core.c
// (ip_tun_build_state).
#pragma once

#include <cstdint>
#include <optional>

#include "sys/ip_address.h"
#include "sys/netlink.h"

namespace godwit::sys {

struct Route {
  IpAddress to;
  uint8_t prefix = 0;
  uint32_t metric = 0;     // of several routes to one place the smallest counts
  unsigned interface = 0;  // 0: where the gateway is
  std::optional<IpAddress> gateway;
  std::optional<IpAddress> source;      // which of our addresses programs here speak from
  std::optional<IpAddress> tunnel_end;  // `interface` is a tunnel (netlink_tunnel.h): to whom it carries the packets
  uint8_t protocol = 4;                 // RTPROT_STATIC: who made it
  uint32_t largest_packet = 0;          // bytes; 0: what the interface takes
  uint32_t table = 254;                 // RT_TABLE_MAIN
};
// Replaces a route to the same place with the same metric.
void set_route(NetlinkBatch& batch, const Route& route);
// The one to the same place with the same metric (and interface, if given). It need not be there.
void remove_route(NetlinkBatch& batch, const Route& route);

// Who made the routes that a job is given (/etc/iproute2/rt_protos names others).
inline constexpr uint8_t kGivenRoute = 119;

struct PathTo {
  unsigned interface = 0;
  bool by_gateway = false;
  bool here = false;  // an address of this machine
};
// What this node's routes say of an address. Errors: those of rtnetlink, when there is no way to it.
Result<PathTo> path_to(Netlink& netlink, const IpAddress& address);

}  // namespace godwit::sys
