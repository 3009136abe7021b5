// Reading and writing descriptors that somebody else made (standard input and output): files, pipes, terminals or
// sockets, blocking or not. Source: read(2), write(2), poll(2).
#pragma once

#include <poll.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::sys {

// What is there, at least one byte and at most `most`; empty at the end. Blocks until then. A terminal that hung up
// counts as the end.
Result<std::string> read_input(int fd, size_t most);

// All of it, or fails with any part of it written. ErrorKind::peer_lost when nobody reads any more (EPIPE; SIGPIPE must
// be ignored).
Result<void> write_output(int fd, std::string_view bytes);

// Waits until one of them is ready, for ever if `timeout_ms` is negative. False: the time is over.
Result<bool> wait_until_ready(std::span<pollfd> entries, int timeout_ms);

}  // namespace godwit::sys
