// A node's network as jobs need it: forwarding on, the waiting room, the catch-all. Made by the daemon when it starts,
// in its own network namespace; it stays when the daemon ends, since jobs run on. Calling again changes nothing.
#pragma once

#include <string>

#include "base/result.h"
#include "forwarding/routes.h"
#include "sys/netlink.h"

namespace godwit::forwarding {

// `address`: where other nodes reach this one.
Result<NodePlace> prepare_node_network(sys::Netlink& netlink, const std::string& address);
// The node's own address of version 6, on the interface that has `address`; where there is none, nothing.
Result<void> add_node_address(sys::Netlink& netlink, const NodePlace& here, const std::string& address, uint32_t node);

}  // namespace godwit::forwarding
