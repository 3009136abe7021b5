// Files by the handles that the kernel knows them by, whatever they are called. Needs CAP_DAC_READ_SEARCH. Source:
// open_by_handle_at(2).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// `mount`: any open file of the same file system, O_PATH will not do. O_PATH is what comes back. ErrorKind::corrupt for
// a handle that is too long.
Result<UniqueFd> open_by_handle(int mount, int32_t type, const std::string& handle);

}  // namespace godwit::sys
