#include "sys/socket_state.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

Result<int> option(int fd, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  if (::getsockopt(fd, SOL_SOCKET, name, &value, &length) != 0) return last_error("getsockopt");
  return value;
}

int tcp_state_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_state : 0;
}

std::string name_of(int tcp_state) {
  constexpr std::array<const char*, 13> kNames{"unknown",   "established", "syn_sent",    "syn_received", "fin_wait1",
                                               "fin_wait2", "time_wait",   "closed",      "close_wait",   "last_ack",
                                               "listening", "closing",     "syn_received"};
  auto number = static_cast<size_t>(tcp_state);
  return number < kNames.size() ? kNames[number] : "unknown";
}

}  // namespace

Result<SocketKind> socket_kind(int fd) {
  SocketKind kind{};
  kind.shape = TRY(shape_of(fd));
  auto [family, type, protocol] = kind.shape;
  kind.listening = TRY(option(fd, SO_ACCEPTCONN)) != 0;
  bool internet = family == AF_INET || family == AF_INET6;
  kind.is_tcp = internet && type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
  kind.is_udp = internet && type == SOCK_DGRAM && (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
  bool ping = type == SOCK_DGRAM && (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6);
  kind.is_raw = internet && (type == SOCK_RAW || ping);
  if (kind.is_tcp) {
    char upper[16] = {};  // a layer above: TLS in the kernel
    socklen_t length = sizeof upper - 1;
    bool tls = ::getsockopt(fd, IPPROTO_TCP, TCP_ULP, upper, &length) == 0 && std::strcmp(upper, "tls") == 0;
    kind.tcp_state = tcp_state_of(fd);
    std::string state = name_of(kind.tcp_state);
    kind.name = "tcp." + (tls ? "tls" : state);
    kind.description = "TCP, " + state;
  } else if (internet) {
    kind.name = type == SOCK_DGRAM ? "udp" : type == SOCK_RAW ? "raw" : "ip";
    kind.description = type == SOCK_DGRAM ? "UDP" : "IP protocol " + std::to_string(protocol);
  } else if (family == AF_UNIX) {
    const char* shape = type == SOCK_STREAM ? "stream" : type == SOCK_DGRAM ? "datagram" : "seqpacket";
    kind.name = std::string("unix.") + shape;
    kind.description = std::string("unix ") + shape + (kind.listening ? ", listening" : "");
  } else {
    kind.name = family == AF_NETLINK ? "netlink" : family == AF_PACKET ? "packet" : "family" + std::to_string(family);
    kind.description = kind.name;
  }
  return kind;
}

Result<ListenerState> listener_state(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return last_error("getsockopt(TCP_INFO)");
  return ListenerState{info.tcpi_sacked, info.tcpi_unacked};  // of a listening socket: net/ipv4/tcp.c, tcp_get_info
}

Result<uint64_t> network_of(int fd) {
  constexpr int kNetworkCookie = 71;  // SO_NETNS_COOKIE, asm-generic/socket.h, since Linux 5.14
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (::getsockopt(fd, SOL_SOCKET, kNetworkCookie, &cookie, &length) != 0) {
    return last_error("getsockopt(SO_NETNS_COOKIE)");
  }
  return cookie;
}

Result<UniqueFd> make_socket(const SocketShape& shape) {
  UniqueFd fd(::socket(shape.family, shape.type | SOCK_CLOEXEC, shape.protocol));
  if (!fd.valid()) return last_error("socket");
  return fd;
}

Result<void> listen_on(int fd, int backlog) { return checked_void(::listen(fd, backlog), "listen"); }

Result<UniqueFd> accept_from(int listening) {
  UniqueFd fd(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd.valid()) return last_error("accept4");
  return fd;
}

Result<void> set_file_flags(int fd, uint32_t flags) {
  return checked_void(::fcntl(fd, F_SETFL, static_cast<int>(flags)), "fcntl(F_SETFL)");
}

Result<void> set_blocking(int fd, bool blocking) { return set_file_flags(fd, blocking ? 0 : O_NONBLOCK); }

Result<void> set_socket_owner(int fd, uid_t uid, gid_t gid) { return checked_void(::fchown(fd, uid, gid), "fchown"); }

uint16_t port_of(const std::string& address) {
  sockaddr_in start{};  // the port lies at the same place in both families
  if (address.size() < sizeof start) return 0;
  std::memcpy(&start, address.data(), sizeof start);
  return ntohs(start.sin_port);
}

bool receives_no_more(int fd) {
  pollfd one{fd, POLLRDHUP, 0};
  return ::poll(&one, 1, 0) > 0 && (one.revents & POLLRDHUP) != 0;
}

Result<void> begin_to_connect(int fd, const std::string& address) {
  int flags = TRY(checked(::fcntl(fd, F_GETFL), "fcntl(F_GETFL)"));
  TRY(set_blocking(fd, false));
  sockaddr_storage where{};
  if (address.size() > sizeof where) return error(ErrorKind::corrupt, "an impossible socket address");
  std::memcpy(&where, address.data(), address.size());
  int result = ::connect(fd, reinterpret_cast<sockaddr*>(&where), static_cast<socklen_t>(address.size()));
  if (result != 0 && errno != EINPROGRESS) return last_error("connect");
  return set_file_flags(fd, static_cast<uint32_t>(flags));
}

Result<void> shut_down(int fd, bool receiving, bool sending) {
  if (!receiving && !sending) return {};
  return checked_void(::shutdown(fd, receiving && sending ? SHUT_RDWR : receiving ? SHUT_RD : SHUT_WR), "shutdown");
}

}  // namespace godwit::sys
