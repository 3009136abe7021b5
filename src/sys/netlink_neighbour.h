// Neighbours: where on a link an address is. An address whose neighbour is not known has its packets queued by the
// kernel, in order; setting the neighbour sends them on. Source: rtnetlink(7), ip-neighbour(8), ip-ntable(8),
// Linux 6.18 net/core/neighbour.c (__neigh_event_send, __neigh_update).
#pragma once

#include <cstdint>
#include <optional>

#include "sys/ip_address.h"
#include "sys/netlink.h"
#include "sys/netlink_link.h"

namespace godwit::sys {

struct Neighbour {
  IpAddress address;
  unsigned interface = 0;
};
// From now on packets go there; those that waited go first.
void set_neighbour(NetlinkBatch& batch, const Neighbour& neighbour, const HardwareAddress& hardware);
// Those that waited are dropped and their senders told: ICMP host unreachable.
void fail_neighbour(NetlinkBatch& batch, const Neighbour& neighbour);
// What waits is dropped; the next packet begins to wait again. It need not be there.
void forget_neighbour(NetlinkBatch& batch, const Neighbour& neighbour);

struct QueueRules {
  uint32_t most_bytes;    // that wait for one neighbour
  uint32_t most_seconds;  // that they wait
};
// On this interface the kernel asks nobody on the link for neighbours: packets wait until a program sets them. Those
// that listen (RTMGRP_NEIGH) are told which are wanted, at once and every second.
void let_programs_resolve(NetlinkBatch& batch, int family, unsigned interface, QueueRules rules);

// The neighbour that is wanted, if the message tells of one.
std::optional<Neighbour> wanted_neighbour(const nlmsghdr* message);

}  // namespace godwit::sys
