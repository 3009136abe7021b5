// A TCP socket as it is after both sides have ended their streams: not connected, nothing more to come but what is
// unread. No socket can be put into that state directly, so a connection inside the calling thread's network namespace
// is made and ended. Source: tcp(7), RFC 9293 section 3.6.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// `family`: AF_INET or AF_INET6.
Result<UniqueFd> make_ended_connection(int family, const std::string& unread);
// What is unread, without taking it. Of a socket that is not connected any more.
Result<std::string> peek_unread(int fd);

}  // namespace godwit::sys
