// Where this node's kernel sends what is for a logical host: routes in its main table, in four ranks. The daemon and
// the workers of a migration each add and remove the rank that is theirs, so that none needs to know of the others':
//
//   1 diverted  a migration from here is under way: packets wait (waiting room), or already go to the destination
//   2 local     the logical host is here
//   3 link      it is elsewhere, as far as this node knows: the next hop
//   - nothing   the catch-all: packets wait until the daemon has located it
//
// The waiting room is a pair of virtual interfaces of which both ends are here. Packets routed to one end are queued by
// the kernel, in order, until release(); then they come back in through the other end and are routed anew.
#pragma once

#include <optional>
#include <string>

#include "forwarding/virtual_address.h"
#include "sys/netlink_link.h"
#include "sys/netlink_neighbour.h"
#include "sys/netlink_route.h"

namespace godwit::forwarding {

// This node's part in it, as found once by whoever changes routes.
struct NodePlace {
  std::optional<sys::IpAddress> source4;  // from which programs here speak to logical hosts; empty: any
  bool version6 = false;
  unsigned waiting_room = 0;  // interface
  std::string uplink;         // interface to the other nodes; empty: none
  unsigned tunnel = 0;        // interface to those behind routers (tunnel.h); 0: none

  // Of the calling thread's network namespace. `address`: where other nodes reach this one, as text.
  static NodePlace here(const std::string& address);
};

inline constexpr const char* kWaitingRoomIn = "gwwait0";
inline constexpr const char* kWaitingRoomOut = "gwwait1";
inline constexpr const char* kTunnel = "gwtunnel";
// How long packets may wait for a program to resolve their neighbour, and how many bytes of them.
inline constexpr sys::QueueRules kQueueRules{.most_bytes = 64u << 20, .most_seconds = 600};

// The hardware address that both ends of a virtual pair have.
sys::HardwareAddress hardware_address(uint32_t code);

// A node as the next hop.
struct NextHop {
  sys::IpAddress version4;
  uint32_t node = 0;       // its number
  bool tunnelled = false;  // it is behind a router: packets are carried there in a tunnel
  bool operator==(const NextHop&) const = default;
};

using sys::NetlinkBatch;

void divert_to_waiting_room(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address);
void divert(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, const NextHop& to);
void end_diversion(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address);

// The interface that leads to it, and that what waits there goes in now.
void make_local(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, unsigned interface);
void end_local(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address);
void let_through(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, unsigned interface);

void set_link(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, const NextHop& to);
void remove_link(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address);

// What other nodes send to it through this one is dropped, or no longer.
void drop_passing(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address, bool drop);

// What waits in the waiting room is routed anew; later packets for the address wait again, if they come there.
void release(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address);
// What waits there is dropped, without or with a word to the senders.
void drop_waiting(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address);
void refuse_waiting(NetlinkBatch& batch, const NodePlace& here, VirtualAddress address);

}  // namespace godwit::forwarding
