// TCP sockets of a bulk connection: made, tuned, and read and written with a deadline.
//
// Sockets are non-blocking; waiting is ppoll(2). Source: tcp(7), socket(7), ppoll(2), getaddrinfo(3).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

using Deadline = std::chrono::steady_clock::time_point;

struct ListeningSocket {
  UniqueFd fd;
  uint16_t port = 0;
};

// `host`: an address, or a name that is resolved (which may block beyond the deadline). `port` 0: any free one.
Result<ListeningSocket> listen_stream(const std::string& host, uint16_t port);
Result<UniqueFd> connect_stream(const std::string& host, uint16_t port, Deadline deadline);
Result<UniqueFd> accept_stream(int listening, Deadline deadline);

// Errors of the following: exhausted at the deadline, peer_lost when the connection broke.
// Sends everything, or fails with any part of it sent.
Result<void> send_all(int fd, std::span<const std::byte> bytes, Deadline deadline);
// Receives what is there, at least one byte; 0: the other side sends no more. Polls for at most `spin` before it
// blocks.
Result<size_t> receive_some(int fd, std::span<std::byte> into, Deadline deadline, std::chrono::microseconds spin);
// Something to receive, or the end of the stream.
Result<bool> readable_now(int fd);
// Nothing is sent or received any more; the other side sees an end.
void shut_down_stream(int fd);

}  // namespace godwit::sys
