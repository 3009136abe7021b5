// A TCP connection in an image: sys::TcpConnection as image::TcpSocket bears it.
#pragma once

#include "godwit/image.pb.h"
#include "sys/accept_queue.h"
#include "sys/tcp_repair.h"

namespace godwit::objects {

void tell(sys::TcpConnection connection, image::TcpSocket& into);
sys::TcpConnection connection_of(const image::TcpSocket& socket);

void tell(const sys::TcpRequest& request, image::TcpRequest& into);
// Errors: corrupt for an impossible one.
Result<sys::TcpRequest> request_of(const image::TcpRequest& request);

}  // namespace godwit::objects
