// Unix stream sockets by path: unix(7).
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Listening at `path`, which is replaced if it is there; mode 0600.
Result<UniqueFd> listen_unix(const std::string& path);
// The next connection, non-blocking; ErrorKind::exhausted when none came in time.
Result<UniqueFd> accept_unix(int listening, int timeout_ms);
Result<UniqueFd> connect_unix(const std::string& path);
// A connected pair.
struct SocketPair {
  UniqueFd first, second;
};
Result<SocketPair> unix_pair();
Result<SocketPair> unix_pair_of(int type);
// Sends or receives all of `bytes`; peer_lost at the other side's end. Blocks at most `timeout_ms` for each part (-1:
// for ever).
Result<void> send_whole(int fd, std::span<const std::byte> bytes, int timeout_ms);
Result<void> receive_whole(int fd, std::span<std::byte> into, int timeout_ms);

}  // namespace godwit::sys
