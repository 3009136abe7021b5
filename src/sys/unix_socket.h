// Unix stream sockets by path. Source: unix(7).
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Errors: gone (nothing there), peer_lost (nobody listens), corrupt (the path is longer than a socket's may be).
Result<UniqueFd> connect_unix(const std::string& path);

}  // namespace godwit::sys
