// Addresses of network interfaces. Source: rtnetlink(7), ip-address(8).
#pragma once

#include <cstdint>

#include "sys/ip_address.h"
#include "sys/netlink.h"

namespace godwit::sys {

// Without duplicate detection; `prefix` bits count as reachable through the interface when it is shorter than the
// address.
void add_address(NetlinkBatch& batch, unsigned interface, const IpAddress& address, uint8_t prefix);

}  // namespace godwit::sys
