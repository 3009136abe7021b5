// A TCP connection in an image: sys::TcpConnection as image::TcpSocket bears it.
#pragma once

#include <chrono>

#include "godwit/image.pb.h"
#include "sys/accept_queue.h"
#include "sys/tcp_repair.h"

namespace godwit::objects {

void tell(sys::TcpConnection connection, image::TcpSocket& into);
sys::TcpConnection connection_of(const image::TcpSocket& socket);

// As it is to be rebuilt, `elapsed` after it was told: its timestamps go on no earlier than where the source's last
// packets left them, since what is older the peer drops (RFC 7323 section 5).
uint32_t clock_advance(std::chrono::nanoseconds elapsed);
sys::TcpConnection later(sys::TcpConnection connection, std::chrono::nanoseconds elapsed);

// The same for the same addresses and ports, whether told in an IPv4 or in an IPv6 socket.
std::string key_of_ends(const std::string& local, const std::string& peer);
// The other end is, or was, in the job: at the same address. sockaddr.
bool is_within_job(const std::string& local, const std::string& peer);

void tell(const sys::TcpRequest& request, image::TcpRequest& into);
// Errors: corrupt for an impossible one.
Result<sys::TcpRequest> request_of(const image::TcpRequest& request);

}  // namespace godwit::objects
