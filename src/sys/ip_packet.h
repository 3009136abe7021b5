// IP packets made by hand and delivered in this network namespace as if they had come from wherever they say. Source:
// raw(7), ip(7), RFC 791, RFC 8200 section 8.1, Linux net/ipv4/raw.c.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace godwit::sys {

// `from`, `to`: sockaddr, both of one family. `payload`: the transport's header, with a checksum of zero at
// `checksum_at`, and what follows it; the header bears the ports already. Errors: corrupt for impossible addresses or
// too much.
Result<std::string> ip_packet(uint8_t protocol, const std::string& from, const std::string& to, std::string payload,
                              size_t checksum_at);
// To `to`, an address of the calling thread's network namespace, over its loopback device. When it returns the packet
// has been received, or dropped.
Result<void> deliver_packet(const std::string& packet, const std::string& to);

}  // namespace godwit::sys
