// IP addresses of both versions as plain values, and their text: inet_pton(3), inet_ntop(3).
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace godwit::sys {

struct IpAddress {
  int family = AF_INET;
  std::array<uint8_t, 16> bytes{};  // in network order; the first four for version 4

  size_t length() const { return family == AF_INET ? 4 : 16; }
  uint8_t bits() const { return family == AF_INET ? 32 : 128; }
  bool operator==(const IpAddress&) const = default;
};

// Nothing for a text that is no address.
std::optional<IpAddress> parse_ip_address(const std::string& text);
std::string to_string(const IpAddress& address);
// Of a sockaddr; an IPv4 address in an IPv6 one counts as IPv4.
std::optional<IpAddress> ip_of(const std::string& address);
// The interface of this network namespace that has the address; 0: none.
unsigned interface_with_address(const IpAddress& address);

}  // namespace godwit::sys
