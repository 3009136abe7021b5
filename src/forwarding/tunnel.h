// Tunnel: the way to nodes behind routers, which know nothing of logical hosts' addresses.
//
// Packets to and from logical hosts are wrapped into UDP between the nodes' own addresses; the kernel does it, by what
// routes say (forwarding/routes.h). A node that this one reaches on a link they share needs none. Three things are kept
// up beside the routes of each logical host, and only this owns them: which senders may put packets in (an nftables
// table, "inet godwit_tunnel"), how answers of logical hosts here come back to programs of nodes behind routers (a
// table of routes), and those nodes' addresses of version 6 (the main table). Owned by the daemon, in its loop's
// thread; it stays when the daemon ends. What comes through is as trustworthy as the network between: the sender's
// address is checked and nothing is encrypted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "forwarding/routes.h"
#include "sys/netlink.h"
#include "sys/nftables.h"

namespace godwit::forwarding {

enum class TunnelUse {
  never,      // all nodes share a link
  automatic,  // for nodes that routes lead to by a gateway, or by an interface that is no shared link
  always,
};
struct TunnelSettings {
  TunnelUse use = TunnelUse::automatic;
  uint16_t port = 7708;  // UDP; the same on all nodes
};
// "never", "auto", "always". Errors: corrupt.
Result<TunnelUse> parse_tunnel_use(std::string_view text);

class Tunnel {
 public:
  // Makes it and adds it to `here`; one of another port is made anew, with TunnelUse::never one that is there is
  // removed. Errors: unsupported where the kernel lacks VXLAN or nftables: nothing is there then.
  static Result<Tunnel> open(sys::Netlink& netlink, NodePlace& here, TunnelSettings settings);
  // Whether packets to that node go in: what this node's routes say now. Some microseconds.
  bool leads_to(sys::Netlink& netlink, const sys::IpAddress& node) const;
  // That reaches all nodes, in bytes; 0: as large as any.
  uint32_t largest_packet() const;
  // All other nodes. Cheap when nothing has changed.
  Result<void> set_nodes(sys::Netlink& netlink, std::vector<NextHop> nodes);

 private:
  Tunnel(sys::Nftables nftables, NodePlace here, TunnelUse use)
      : nftables_(std::move(nftables)), here_(std::move(here)), use_(use) {}
  Result<void> fit_packets(sys::Netlink& netlink);
  sys::Nftables nftables_;
  NodePlace here_;
  TunnelUse use_;
  std::vector<NextHop> nodes_;
  uint32_t mtu_ = 0;
};

// What nft is told.
std::string tunnel_rules(uint16_t port);

}  // namespace godwit::forwarding
