// Device nodes. Source: mknod(2).
#pragma once

#include <string>

#include "base/result.h"

namespace godwit::sys {

// Makes `to` the same character device as `from`, with the same permissions. Errors: gone when `from` is none.
Result<void> copy_device_node(const std::string& from, const std::string& to);

}  // namespace godwit::sys
