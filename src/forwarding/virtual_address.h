// VirtualAddress: the network address of a logical host, which it keeps wherever it runs.
//
// It encodes the home node and a number there, so that both can be read off it: version 4 is 100.64.0.0/10 with 10 bits
// of node and 12 of number, version 6 is fd67:6f64:7769:NODE::NUMBER. Block 0 of version 6 holds the nodes' own
// addresses, which are the next hops for jobs. Pure values.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

#include "sys/ip_address.h"

namespace godwit::forwarding {

struct VirtualAddress {
  static constexpr uint32_t kNumberBits = 12;
  static constexpr uint32_t kMostNodes = (1u << 10) - 1;
  static constexpr uint32_t kMostNumbers = (1u << kNumberBits) - 1;

  uint32_t code = 0;  // node and number; 0: none

  // Requires: 1 <= node <= kMostNodes, 1 <= number <= kMostNumbers.
  static VirtualAddress of(uint32_t node, uint32_t number) { return {node << kNumberBits | number}; }
  // Nothing for an address that is no logical host's.
  static std::optional<VirtualAddress> from(const sys::IpAddress& address);

  uint32_t home() const { return code >> kNumberBits; }
  uint32_t number() const { return code & kMostNumbers; }
  bool valid() const { return home() >= 1 && home() <= kMostNodes && number() >= 1; }
  sys::IpAddress version4() const;
  sys::IpAddress version6() const;
  auto operator<=>(const VirtualAddress&) const = default;
};

// A node's own address of version 6 on the link that it shares with others.
sys::IpAddress node_address6(uint32_t node);

// All of them: network and prefix length.
sys::IpAddress every_address4();
sys::IpAddress every_address6();
inline constexpr uint8_t kEveryPrefix4 = 10;
inline constexpr uint8_t kEveryPrefix6 = 48;
inline constexpr uint8_t kNodePrefix6 = 64;

}  // namespace godwit::forwarding
