// What connections that their program has closed still have to say, taken out of the kernel by playing their peers: it
// is acknowledged in their name, and comes to a TUN interface of ours instead of the network, until the streams end.
// Source: RFC 9293, Documentation/networking/tuntap.rst.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/tcp_numbers.h"

namespace godwit::sys {

struct Said {
  std::string bytes;   // from the first one that the peer has not acknowledged
  bool whole = false;  // up to the end of the stream
};
// One for each connection, of the calling thread's network namespace. Nobody else must need that any more: its routes
// to the peers are changed, and what the connections have said is gone. `patience`: without a word of any of them; what
// a peer had not acknowledged the kernel repeats after its retransmission timeout, 0.2 s and more.
Result<std::vector<Said>> play_peers(std::span<const TcpStanding> connections, std::chrono::milliseconds patience);

}  // namespace godwit::sys
