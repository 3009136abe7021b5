// Whether this machine can swap pages out: sysinfo(2).
#pragma once

namespace godwit::sys {

bool has_swap_space();

}  // namespace godwit::sys
