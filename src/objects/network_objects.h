// The addresses, routes, rules and neighbours of a network namespace: one list for each kind of them.
//
// An entry is what rtnetlink says of the thing itself, in the form in which it is made: fixed part and attributes,
// without what tells of its use. Lists are read, and made equal to given ones, through a Netlink of the namespace.
// Source: rtnetlink(7), Linux 6.18 include/uapi/linux/{if_addr,rtnetlink,fib_rules,neighbour}.h.
#pragma once

#include <linux/netlink.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/netlink.h"

namespace godwit::objects {

enum class NetworkKind : uint8_t { address, rule, neighbour, proxy, bridge_entry, route };
// In the order in which they can be made.
inline constexpr std::array kNetworkKinds{NetworkKind::address, NetworkKind::rule,         NetworkKind::neighbour,
                                          NetworkKind::proxy,   NetworkKind::bridge_entry, NetworkKind::route};

struct NetworkList {
  std::vector<std::string> entries;    // in the kernel's order
  std::vector<std::string> not_moved;  // what there is beside them and cannot be made again, in words
};
// Errors: retry when it changed meanwhile.
Result<NetworkList> list_network(sys::Netlink& netlink, NetworkKind kind);

// Makes the list equal to `entries`: what is missing is added, what is too much is removed. Errors: corrupt for an
// entry that is none; the kernel's for one that it does not take.
Result<void> make_equal(sys::Netlink& netlink, NetworkKind kind, std::span<const std::string> entries);

// Whether an address is not in use yet: the kernel still looks for it on the link.
Result<bool> any_tentative(sys::Netlink& netlink);

// What one message of a list says. Pure.
struct NetworkEntry {
  std::string entry;      // empty: nothing that is made by hand
  std::string not_moved;  // in words; empty: it can be made again
};
NetworkEntry entry_of(NetworkKind kind, std::span<const std::byte> payload);

}  // namespace godwit::objects
