// What is queued in a UDP socket: looked at without being taken, and delivered to another as if its sender had sent it
// just now. Source: udp(7), raw(7), ip(7), Linux net/ipv4/udp.c, net/ipv4/raw.c.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace godwit::sys {

struct Datagram {
  std::string from;  // sockaddr
  std::string content;
};
// Requires: nobody uses the socket meanwhile.
Result<std::vector<Datagram>> peek_datagrams(int fd);

// Delivers to `to`, an address of the calling thread's network namespace. `protocol`: UDP or UDP-Lite. Both addresses
// are of one family. Errors: corrupt for what cannot be a datagram.
Result<void> deliver_datagram(uint8_t protocol, const Datagram& datagram, const std::string& to);

// The IP packet that carries it, with its checksums.
Result<std::string> packet_of(uint8_t protocol, const Datagram& datagram, const std::string& to);

}  // namespace godwit::sys
