// What the headers of a packet say: IP of both versions, and TCP, UDP or ICMP. Pure; any bytes are allowed.
// Source: RFC 791, RFC 8200, RFC 9293, RFC 768.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sys/ip_address.h"

namespace godwit::forwarding {

struct PacketHeaders {
  sys::IpAddress from, to;
  uint8_t protocol = 0;                 // IPPROTO_*
  uint16_t from_port = 0, to_port = 0;  // 0 when the protocol has none
  uint8_t tcp_flags = 0;                // as in the header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32
  uint32_t sequence = 0, acknowledged = 0;
  uint32_t content_bytes = 0;  // behind the transport's header
};

// `head`: from the IP header on, possibly cut off behind the headers. Nothing for a packet without whole headers, or a
// fragment that is not the first.
std::optional<PacketHeaders> parse_packet(std::string_view head);

}  // namespace godwit::forwarding
