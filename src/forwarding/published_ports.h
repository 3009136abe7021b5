// Ports of this node that lead to logical hosts, for clients that know nothing of virtual addresses.
//
// An nftables table of its own ("inet godwit_published"): the first packet of a connection to such a port gets the
// logical host's address as its destination and this node's as its source, and the kernel's connection tracking does
// the same for all that follow, so that answers come back this way wherever the logical host has gone meanwhile. Where
// the packets go then is a matter of routes (forwarding/routes.h). While nothing is published there is no table.
// Source: nft(8), Linux net/netfilter/nf_nat_core.c, Documentation/networking/nf_conntrack-sysctl.rst.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "forwarding/routes.h"
#include "sys/nftables.h"

namespace godwit::forwarding {

struct PublishedPort {
  uint16_t node_port = 0;
  VirtualAddress address;
  uint16_t job_port = 0;
  bool udp = false;
};

class PublishedPorts {
 public:
  // `node`: this node's number; 0: not known. What an earlier daemon left stays until the first set().
  static Result<PublishedPorts> open(const NodePlace& here, uint32_t node);
  // These and no others; connections that are there go on. About a millisecond.
  Result<void> set(const std::vector<PublishedPort>& ports);

 private:
  PublishedPorts(sys::Nftables nftables, NodePlace here, uint32_t node)
      : nftables_(std::move(nftables)), here_(std::move(here)), node_(node) {}
  sys::Nftables nftables_;
  NodePlace here_;
  uint32_t node_;
  std::string present_;  // rules
};

// What nft is told.
std::string published_rules(const NodePlace& here, uint32_t node, const std::vector<PublishedPort>& ports);

}  // namespace godwit::forwarding
