#include "sys/stream_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "sys/errno.h"

namespace godwit::sys {
namespace {

// What is queued at the sender delays whatever is sent after it, so it stays well below what the receiver may queue.
constexpr int kSendBufferBytes = 1 << 20;
constexpr int kReceiveBufferBytes = 4 << 20;

using Addresses = std::unique_ptr<addrinfo, decltype([](addrinfo* list) { ::freeaddrinfo(list); })>;

Result<Addresses> resolve(const std::string& host, uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (code == EAI_SYSTEM) return last_error("getaddrinfo", host);
  if (code != 0) return error(ErrorKind::gone, "address '" + host + "': " + ::gai_strerror(code));
  return Addresses(list);
}

Result<void> set_option(int fd, int level, int name, int value) {
  return checked_void(::setsockopt(fd, level, name, &value, sizeof value), "setsockopt");
}

// A node that is gone says nothing: after as long the connection has failed, whether we wait or send. Connections that
// are accepted inherit it. Source: tcp(7), socket(7).
Result<void> notice_silence(int fd) {
  constexpr int kIdleSeconds = 5, kBetweenSeconds = 5, kProbes = 2, kUnansweredMs = 15'000;
  TRY(set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
  TRY(set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kIdleSeconds));
  TRY(set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kBetweenSeconds));
  TRY(set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes));
  return set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnansweredMs);
}

// The buffers are set before the connection is made: the receive buffer decides the window scale.
Result<UniqueFd> make_socket(const addrinfo& address) {
  UniqueFd fd(TRY(checked(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket")));
  TRY(set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1));
  TRY(notice_silence(fd.get()));
  if (!set_option(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE,
                  kSendBufferBytes)) {  // without CAP_NET_ADMIN: as far as allowed
    TRY(set_option(fd.get(), SOL_SOCKET, SO_SNDBUF, kSendBufferBytes));
  }
  if (!set_option(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBufferBytes)) {
    TRY(set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes));
  }
  return fd;
}

Result<void> wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    auto left = deadline - std::chrono::steady_clock::now();
    if (left <= left.zero()) return error(ErrorKind::exhausted, "the deadline passed");
    left = std::min<decltype(left)>(left, std::chrono::hours(1));
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    timespec timeout{seconds.count(), std::chrono::nanoseconds(left - seconds).count()};
    pollfd entry{fd, events, 0};
    int count = ::ppoll(&entry, 1, &timeout, nullptr);
    if (count > 0) return {};
    if (count < 0 && errno != EINTR) return last_error("ppoll");
  }
}

void set_port(sockaddr* address, uint16_t port) {
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
  }
}

// To any port when the address names none. Clients of this node may have used up all of those that the kernel chooses
// from (ip(7), ip_local_port_range), if only with connections that are being forgotten: others are tried then.
Result<void> bind_somewhere(int fd, sockaddr* address, socklen_t length, bool any_port) {
  constexpr uint16_t kHighest = 65535;
  constexpr uint16_t kTries = 4096;
  if (::bind(fd, address, length) == 0) return {};
  for (uint16_t tries = 0; any_port && errno == EADDRINUSE && tries < kTries; ++tries) {
    set_port(address, static_cast<uint16_t>(kHighest - tries));
    if (::bind(fd, address, length) == 0) return {};
  }
  return last_error("bind");
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

Result<ListeningSocket> listen_stream(const std::string& host, uint16_t port) {
  auto addresses = TRY(resolve(host, port, AI_PASSIVE));
  auto fd = TRY(make_socket(*addresses));
  TRY(set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1));
  TRY(bind_somewhere(fd.get(), addresses->ai_addr, addresses->ai_addrlen, port == 0).within(host));
  TRY(checked_void(::listen(fd.get(), 16), "listen"));
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  TRY(checked_void(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length), "getsockname"));
  uint16_t network_port = bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                                      : reinterpret_cast<sockaddr_in*>(&bound)->sin_port;
  return ListeningSocket{std::move(fd), ntohs(network_port)};
}

Result<UniqueFd> connect_stream(const std::string& host, uint16_t port, Deadline deadline) {
  auto addresses = TRY(resolve(host, port, 0));
  auto fd = TRY(make_socket(*addresses));
  if (::connect(fd.get(), addresses->ai_addr, addresses->ai_addrlen) == 0) return fd;
  if (errno != EINPROGRESS && errno != EINTR) return last_error("connect", host);
  TRY(wait_for(fd.get(), POLLOUT, deadline).within("connecting to " + host));
  int value = 0;
  socklen_t length = sizeof value;
  TRY(checked_void(::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &value, &length), "getsockopt"));
  if (value != 0) return Error{kind_of(value), value, "connect", host};
  return fd;
}

Result<UniqueFd> accept_stream(int listening, Deadline deadline) {
  for (;;) {
    UniqueFd fd(::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      TRY(set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1));
      return fd;
    }
    if (!would_block() && errno != EINTR && errno != ECONNABORTED) return last_error("accept");
    TRY(wait_for(listening, POLLIN, deadline));
  }
}

Result<void> send_all(int fd, std::span<const std::byte> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(sent));
    } else if (would_block()) {
      TRY(wait_for(fd, POLLOUT, deadline));
    } else if (errno != EINTR) {
      return last_error("send");
    }
  }
  return {};
}

Result<size_t> receive_some(int fd, std::span<std::byte> into, Deadline deadline, std::chrono::microseconds spin) {
  Deadline spin_end = spin.count() == 0 ? Deadline::min() : std::chrono::steady_clock::now() + spin;
  for (;;) {
    ssize_t received = ::recv(fd, into.data(), into.size(), 0);
    if (received >= 0) return static_cast<size_t>(received);
    if (!would_block() && errno != EINTR) return last_error("recv");
    if (spin_end != Deadline::min() && std::chrono::steady_clock::now() < spin_end) {
      std::this_thread::yield();  // to whoever is to send it, when that is on this processor
      continue;
    }
    TRY(wait_for(fd, POLLIN, deadline));
  }
}

Result<bool> readable_now(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return TRY(checked(::poll(&entry, 1, 0), "poll")) > 0 && (entry.revents & POLLIN) != 0;
}

void shut_down_stream(int fd) { ::shutdown(fd, SHUT_RDWR); }

}  // namespace godwit::sys
