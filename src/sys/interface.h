// Network interfaces of the calling thread's network namespace: netdevice(7).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace godwit::sys {

Result<void> bring_interface_up(const std::string& name);
// IFF_*.
Result<unsigned> interface_flags(const std::string& name);
// How many bytes a packet through it can have.
Result<uint32_t> interface_mtu(const std::string& name);

}  // namespace godwit::sys
