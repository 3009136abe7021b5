// Random bytes of the kernel: getrandom(2).
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace godwit::sys {

// Blocks only before the kernel has gathered enough, at boot.
Result<void> fill_randomly(std::span<std::byte> into);

}  // namespace godwit::sys
