// Network interfaces of the calling thread's network namespace: netdevice(7).
#pragma once

#include <string>

#include "base/result.h"

namespace godwit::sys {

Result<void> bring_interface_up(const std::string& name);

}  // namespace godwit::sys
