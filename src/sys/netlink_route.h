// Routes of the main table. Source: rtnetlink(7), ip-route(8).
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
  std::optional<IpAddress> source;  // which of our addresses programs here speak from
};
// Replaces a route to the same place with the same metric.
void set_route(NetlinkBatch& batch, const Route& route);
// The one to the same place with the same metric (and interface, if given). It need not be there.
void remove_route(NetlinkBatch& batch, const Route& route);

}  // namespace godwit::sys
