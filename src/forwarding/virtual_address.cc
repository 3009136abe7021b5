#include "forwarding/virtual_address.h"

#include <algorithm>

namespace godwit::forwarding {

namespace {

constexpr uint32_t kBase4 = 100u << 24 | 64u << 16;
constexpr uint32_t kCodeBits = 22;
constexpr std::array<uint8_t, 6> kBase6{0xfd, 0x67, 0x6f, 0x64, 0x77, 0x69};

sys::IpAddress version4_of(uint32_t code) {
  uint32_t value = kBase4 | code;
  sys::IpAddress address;
  for (size_t i = 0; i < 4; ++i) address.bytes[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
  return address;
}

sys::IpAddress version6_of(uint32_t node, uint32_t number) {
  sys::IpAddress address{AF_INET6, {}};
  std::ranges::copy(kBase6, address.bytes.begin());
  address.bytes[6] = static_cast<uint8_t>(node >> 8);
  address.bytes[7] = static_cast<uint8_t>(node);
  address.bytes[14] = static_cast<uint8_t>(number >> 8);
  address.bytes[15] = static_cast<uint8_t>(number);
  return address;
}

std::optional<uint32_t> code_in4(const sys::IpAddress& address) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | address.bytes[i];
  if (value >> kCodeBits != kBase4 >> kCodeBits) return std::nullopt;
  return value & ((1u << kCodeBits) - 1);
}

std::optional<uint32_t> code_in6(const sys::IpAddress& address) {
  if (!std::equal(kBase6.begin(), kBase6.end(), address.bytes.begin())) return std::nullopt;
  for (size_t i = 8; i < 14; ++i) {
    if (address.bytes[i] != 0) return std::nullopt;
  }
  uint32_t node = uint32_t{address.bytes[6]} << 8 | address.bytes[7];
  uint32_t number = uint32_t{address.bytes[14]} << 8 | address.bytes[15];
  if (node > VirtualAddress::kMostNodes || number > VirtualAddress::kMostNumbers) return std::nullopt;
  return VirtualAddress::of(node, number).code;
}

}  // namespace

std::optional<VirtualAddress> VirtualAddress::from(const sys::IpAddress& address) {
  auto code = address.family == AF_INET ? code_in4(address) : code_in6(address);
  if (!code || !VirtualAddress{*code}.valid()) return std::nullopt;
  return VirtualAddress{*code};
}

sys::IpAddress VirtualAddress::version4() const { return version4_of(code); }
sys::IpAddress VirtualAddress::version6() const { return version6_of(home(), number()); }
sys::IpAddress node_address6(uint32_t node) { return version6_of(0, node); }
sys::IpAddress every_address4() { return version4_of(0); }
sys::IpAddress every_address6() { return version6_of(0, 0); }

}  // namespace godwit::forwarding
