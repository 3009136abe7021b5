// Which groups of users may have datagram sockets of ICMP in this network namespace: sysctl net.ipv4.ping_group_range.
// Source: icmp(7).
#pragma once

#include <string>

#include "base/result.h"

namespace godwit::sys {

Result<std::string> ping_groups();
// ErrorKind::corrupt unless these are two numbers.
Result<void> set_ping_groups(const std::string& range);

}  // namespace godwit::sys
