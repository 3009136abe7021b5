// Packets of a TCP connection made by hand: what its peer might have sent, delivered, in the calling thread's network
// namespace. Source: RFC 9293, raw(7).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "sys/tcp_repair.h"

namespace godwit::sys {

// Content from sequence number `at` on, of at most some tens of kilobytes, and the end of the stream behind it. Without
// a timestamp, so that none of the peer's real ones is older. The connection's urgent byte is marked as such.
Result<void> deliver_segment(const TcpConnection& connection, uint32_t at, std::string_view content, bool end);
// The other way: sends to the peer what makes it say up to where it has everything, as a keep-alive does (RFC 9293,
// section 3.8.4).
Result<void> ask_peer(const TcpConnection& connection);

}  // namespace godwit::sys
