// The lab's network: a bridge in a network namespace of its own, or a router in its place, one veth pair per node,
// links as slow as wanted (tbf on both ends). The machine's own network namespace is not touched. Uses ip(8) and tc(8);
// all of it ends with the namespaces.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "lab/record.h"

namespace godwit::lab {

// Bits per second of "1gbit", "500mbit", "64kbit". Errors: corrupt.
Result<uint64_t> parse_link_rate(const std::string& text);

// Connects the nodes. `bridge`: a process in the network namespace for the bridge or router; `nodes`: pid 1 of each
// node, in order.
Result<void> connect_nodes(const Record& record, pid_t bridge, std::span<const pid_t> nodes);

}  // namespace godwit::lab
