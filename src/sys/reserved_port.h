// A port of this network namespace kept from other programs, without listening on it. Source: bind(2), socket(7),
// ip(7), ipv6(7).
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

enum class Transport { tcp, udp };
// Of all addresses, of both versions of IP. It is free again when the descriptor is closed. Errors: conflict when a
// program here listens on it or has bound it.
Result<UniqueFd> reserve_port(Transport transport, uint16_t port);

}  // namespace godwit::sys
