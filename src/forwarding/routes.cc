#include "forwarding/routes.h"

#include <filesystem>
#include <functional>

#include "sys/netlink_rule.h"

namespace godwit::forwarding {

namespace {

enum Rank : uint32_t { kDiverted = 1, kLocal = 2, kLink = 3 };

sys::Route route_of(const NodePlace& here, const sys::IpAddress& address, Rank rank) {
  sys::Route route{.to = address, .prefix = address.bits(), .metric = rank};
  if (address.family == AF_INET) route.source = here.source4;
  return route;
}

void for_each_version(const NodePlace& here, VirtualAddress address,
                      const std::function<void(const sys::IpAddress&)>& work) {
  work(address.version4());
  if (here.version6) work(address.version6());
}

void set_on_interface(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, Rank rank,
                      unsigned interface) {
  for_each_version(here, address, [&](const sys::IpAddress& each) {
    sys::Route route = route_of(here, each, rank);
    route.interface = interface;
    sys::set_route(batch, route);
  });
}

void set_to_node(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, Rank rank, const NextHop& to) {
  for_each_version(here, address, [&](const sys::IpAddress& each) {
    sys::Route route = route_of(here, each, rank);
    if (to.tunnelled) {
      route.interface = here.tunnel;
      route.tunnel_end = to.version4;
      return sys::set_route(batch, route);
    }
    route.gateway = each.family == AF_INET ? to.version4 : node_address6(to.node);
    sys::set_route(batch, route);
  });
}

void remove(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, Rank rank) {
  for_each_version(here, address,
                   [&](const sys::IpAddress& each) { sys::remove_route(batch, route_of(here, each, rank)); });
}

}  // namespace

NodePlace NodePlace::here(const std::string& address) {
  NodePlace here;
  here.source4 = sys::parse_ip_address(address);
  bool usable = here.source4 && here.source4->family == AF_INET && here.source4->bytes[0] != 127;
  if (!usable) here.source4.reset();
  std::error_code failed;
  here.version6 = std::filesystem::exists("/proc/sys/net/ipv6", failed);
  here.waiting_room = sys::interface_index(kWaitingRoomIn);
  here.tunnel = sys::interface_index(kTunnel);
  if (here.source4) here.uplink = sys::interface_name(sys::interface_with_address(*here.source4));
  return here;
}

sys::HardwareAddress hardware_address(uint32_t code) {
  return {
      0x02, 0x67, 0x77, static_cast<uint8_t>(code >> 16), static_cast<uint8_t>(code >> 8), static_cast<uint8_t>(code)};
}

void divert_to_waiting_room(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address) {
  set_on_interface(batch, here, address, kDiverted, here.waiting_room);
}

void divert(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, const NextHop& to) {
  set_to_node(batch, here, address, kDiverted, to);
}

void end_diversion(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address) {
  remove(batch, here, address, kDiverted);
}

void make_local(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, unsigned interface) {
  set_on_interface(batch, here, address, kLocal, interface);
}

void end_local(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address) {
  remove(batch, here, address, kLocal);
}

void let_through(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, unsigned interface) {
  for_each_version(here, address, [&](const sys::IpAddress& each) {
    sys::set_neighbour(batch, {each, interface}, hardware_address(address.code));
  });
}

void set_link(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, const NextHop& to) {
  set_to_node(batch, here, address, kLink, to);
}

void remove_link(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address) {
  remove(batch, here, address, kLink);
}

void drop_passing(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, bool drop) {
  for (const std::string& way : {here.uplink, std::string(here.tunnel == 0 ? "" : kTunnel)}) {
    if (way.empty()) continue;
    for_each_version(here, address, [&](const sys::IpAddress& each) {
      (drop ? sys::add_drop_rule : sys::remove_drop_rule)(batch, each, way);
    });
  }
}

void release(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address) {
  for_each_version(here, address, [&](const sys::IpAddress& each) {
    sys::set_neighbour(batch, {each, here.waiting_room}, hardware_address(0));
    sys::forget_neighbour(batch, {each, here.waiting_room});
  });
}

// Sent to nobody's hardware address: the other end ignores them. A queue that is merely forgotten has the kernel tell
// the senders that their host cannot be reached.
void drop_waiting(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address) {
  for_each_version(here, address, [&](const sys::IpAddress& each) {
    sys::set_neighbour(batch, {each, here.waiting_room}, hardware_address(~0u));
    sys::forget_neighbour(batch, {each, here.waiting_room});
  });
}

void refuse_waiting(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address) {
  for_each_version(here, address, [&](const sys::IpAddress& each) {
    sys::fail_neighbour(batch, {each, here.waiting_room});
    sys::forget_neighbour(batch, {each, here.waiting_room});
  });
}

}  // namespace godwit::forwarding
