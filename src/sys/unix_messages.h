// What is queued in a unix socket: looked at without being taken (MSG_PEEK with SO_PEEK_OFF), and put into another.
// Source: unix(7), socket(7), Linux net/unix/af_unix.c.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

struct UnixSender {
  pid_t pid;  // in our own pid namespace; 0: it is not in it
  uid_t uid;
  gid_t gid;
};

struct UnixMessage {
  std::string bytes;                 // of a stream: a part of it
  std::optional<UnixSender> sender;  // when it was recorded
  std::string from;                  // struct sockaddr_un of a datagram's sender; empty: it has no name
  std::vector<UniqueFd> descriptors;
};

// Requires: nobody uses the socket meanwhile. Options are changed and put back. `queued_bytes`: of a stream, how many
// there are. Ensures: a pending error of the socket stays pending where nothing is queued.
Result<std::vector<UnixMessage>> peek_messages(int fd, int type, size_t queued_bytes);

// Sends through `fd`, to `to` when that is not empty. Never blocks; exhausted when the receiver has no room.
Result<void> put_message(int fd, int type, std::string_view bytes, const std::optional<UnixSender>& sender,
                         std::span<const int> descriptors, std::string_view to);

}  // namespace godwit::sys
