// Network interfaces: pairs of virtual ones made, switched on and removed. Source: rtnetlink(7), ip-link(8), veth(4).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "sys/netlink.h"

namespace godwit::sys {

using HardwareAddress = std::array<uint8_t, 6>;

struct VethPair {
  std::string name, peer_name;
  HardwareAddress address{};  // of both ends: a frame that leaves one is for the other
  int peer_namespace = -1;    // a network namespace's descriptor; -1: this one
  unsigned peer_index = 0;    // 0: any
};
// Without addresses that the kernel would make up by itself.
void add_veth(NetlinkBatch& batch, const VethPair& pair);
enum class Resolution { usual, none };  // none: no address resolution, every neighbour is at the other end
void switch_on(NetlinkBatch& batch, unsigned index, Resolution resolution);
void remove_link(NetlinkBatch& batch, const std::string& name);
void set_mtu(NetlinkBatch& batch, unsigned index, uint32_t bytes);
// 0: there is no such interface here.
unsigned interface_index(const std::string& name);
std::string interface_name(unsigned index);

}  // namespace godwit::sys
