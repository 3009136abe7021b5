// A thread beside the one that visits namespaces: setns(2) into a mount namespace is refused while threads share their
// root and working directory, so such a thread takes a copy of its own first.
#pragma once

#include <functional>
#include <thread>

#include "base/result.h"

namespace godwit::sys {

// Returns when the thread shares nothing that is in the way. Then `body` runs in it.
Result<std::thread> start_own_thread(std::function<void()> body);

}  // namespace godwit::sys
