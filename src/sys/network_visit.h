// Work in another process's network namespace, by this thread, which comes back: setns(2), network_namespaces(7).
#pragma once

#include <functional>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Of the process behind `pidfd`. ErrorKind::gone when it has ended.
Result<void> in_network_of(int pidfd, const std::function<Result<void>()>& work);
// In one that nobody has used before and nobody will again. Requires: root.
Result<void> in_new_network(const std::function<Result<void>()>& work);
// A socket made there.
Result<UniqueFd> socket_in_network_of(int pidfd, int family, int type, int protocol);

}  // namespace godwit::sys
