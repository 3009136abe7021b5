#include "forwarding/node_network.h"

#include "sys/netlink_address.h"
#include "sys/text_file.h"

namespace godwit::forwarding {

namespace {

// What an ICMP redirect taught a neighbour would outlive its truth; packets come in where routes do not lead.
Result<void> set_rules() {
  const std::string version4 = "/proc/sys/net/ipv4/";
  TRY(sys::write_text(version4 + "ip_forward", "1"));
  for (const std::string which : {"all", "default"}) {
    for (const char* rule : {"send_redirects", "accept_redirects", "rp_filter"}) {
      TRY(sys::write_text(version4 + "conf/" + which + "/" + rule, "0"));
    }
  }
  return {};
}

Result<void> set_rules6() {
  const std::string version6 = "/proc/sys/net/ipv6/conf/";
  for (const std::string which : {"all", "default"}) {
    TRY(sys::write_text(version6 + which + "/forwarding", "1"));
    TRY(sys::write_text(version6 + which + "/accept_redirects", "0"));
  }
  return {};
}

Result<void> make_waiting_room(sys::Netlink& netlink, NodePlace& here) {
  NetlinkBatch made;
  sys::add_veth(made, {.name = kWaitingRoomIn, .peer_name = kWaitingRoomOut, .address = hardware_address(0)});
  TRY(netlink.run(made).within("the waiting room"));
  here.waiting_room = sys::interface_index(kWaitingRoomIn);
  NetlinkBatch on;
  sys::switch_on(on, here.waiting_room, sys::Resolution::usual);
  sys::switch_on(on, sys::interface_index(kWaitingRoomOut), sys::Resolution::none);
  sys::let_programs_resolve(on, AF_INET, here.waiting_room, kQueueRules);
  if (here.version6) sys::let_programs_resolve(on, AF_INET6, here.waiting_room, kQueueRules);
  return netlink.run(on).within("the waiting room");
}

// What programs of this node send may wait in the waiting room, or come back from a node that a logical host has just
// left for here: it comes in with this node's own address.
Result<void> accept_own_packets(const std::string& interface) {
  if (interface.empty()) return {};
  const std::string rules = "/proc/sys/net/ipv4/conf/" + interface;
  TRY(sys::write_text(rules + "/accept_local", "1"));
  return sys::write_text(rules + "/rp_filter", "0");
}

Result<void> add_catch_all(sys::Netlink& netlink, const NodePlace& here) {
  NetlinkBatch routes;
  sys::set_route(
      routes,
      {.to = every_address4(), .prefix = kEveryPrefix4, .interface = here.waiting_room, .source = here.source4});
  if (here.version6) {
    sys::set_route(routes, {.to = every_address6(), .prefix = kEveryPrefix6, .interface = here.waiting_room});
  }
  return netlink.run(routes).within("the catch-all route");
}

}  // namespace

Result<NodePlace> prepare_node_network(sys::Netlink& netlink, const std::string& address) {
  NodePlace here = NodePlace::here(address);
  TRY(set_rules());
  if (here.version6) TRY(set_rules6());
  TRY(make_waiting_room(netlink, here));
  TRY(accept_own_packets(kWaitingRoomOut));
  TRY(accept_own_packets(here.uplink));
  TRY(add_catch_all(netlink, here));
  return here;
}

Result<void> add_node_address(sys::Netlink& netlink, const NodePlace& here, const std::string& address, uint32_t node) {
  auto own = sys::parse_ip_address(address);
  unsigned uplink = own ? sys::interface_with_address(*own) : 0;
  if (uplink == 0 || !here.version6) return {};
  // Otherwise it would go for good when the link is down for a moment (ip-sysctl.rst, keep_addr_on_down).
  TRY(sys::write_text("/proc/sys/net/ipv6/conf/" + here.uplink + "/keep_addr_on_down", "1"));
  NetlinkBatch batch;
  sys::add_address(batch, uplink, node_address6(node), kNodePrefix6);
  return netlink.run(batch).within("the node's address");
}

}  // namespace godwit::forwarding
