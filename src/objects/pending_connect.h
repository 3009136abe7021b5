// connect(2) that was interrupted by the stop although the connection stands by now. The kernel would say so when the
// call is repeated, on the socket it has; a socket that is made anew is connected already (EISCONN). Source:
// connect(2), Linux net/ipv4/af_inet.c (__inet_stream_connect).
#pragma once

#include "godwit/image.pb.h"

namespace godwit::objects {

// Such calls have succeeded. Requires: all sockets are captured.
void complete_connects(image::LogicalHost& host);

}  // namespace godwit::objects
