#include "sys/socket_options.h"

#include <linux/icmp.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

enum class Use : uint8_t {
  any,
  local,
  internet,
  ipv4,
  ipv6,
  ipv6_datagram,
  tcp,
  udp,
  udplite,
  datagram,
  netlink,
  raw4,
  raw4_icmp,
  raw6,
  raw6_icmp,
  packet
};

// An option that asks differently than it is told.
enum class Way : uint8_t { plain, buffer, name_only_if_set };

struct Known {
  int level, name;
  size_t most_bytes;
  Use use;
  Way way = Way::plain;
  bool always = false;  // nodes may have other defaults
  bool moves = false;   // the kernel itself changes it
};

constexpr size_t kInt = sizeof(int);
constexpr int kBufferLock = 72;                         // SO_BUF_LOCK, asm-generic/socket.h, since Linux 5.15
constexpr int kTxRehash = 74;                           // SO_TXREHASH
constexpr int kPassPidfd = 76;                          // SO_PASSPIDFD
constexpr int kPassRights = 83;                         // SO_PASSRIGHTS
constexpr int kLocalPortRange = 51;                     // IP_LOCAL_PORT_RANGE
constexpr int kUdpliteSend = 10, kUdpliteReceive = 11;  // UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV
constexpr int kSendBuffer = SO_SNDBUF, kReceiveBuffer = SO_RCVBUF;

// In the order they are set: buffers before their lock.
constexpr Known kTable[] = {
    {SOL_SOCKET, SO_REUSEADDR, kInt, Use::any},
    {SOL_SOCKET, SO_REUSEPORT, kInt, Use::internet},
    {SOL_SOCKET, SO_KEEPALIVE, kInt, Use::any},
    {SOL_SOCKET, SO_OOBINLINE, kInt, Use::any},
    {SOL_SOCKET, SO_LINGER, sizeof(linger), Use::any},
    {SOL_SOCKET, SO_BROADCAST, kInt, Use::any},
    {SOL_SOCKET, SO_DONTROUTE, kInt, Use::any},
    {SOL_SOCKET, SO_PRIORITY, kInt, Use::any},
    {SOL_SOCKET, SO_MARK, kInt, Use::any},
    {SOL_SOCKET, SO_BINDTODEVICE, 16, Use::internet, Way::name_only_if_set},
    {SOL_SOCKET, SO_RCVLOWAT, kInt, Use::any},
    {SOL_SOCKET, SO_RCVTIMEO, sizeof(timeval), Use::any},
    {SOL_SOCKET, SO_SNDTIMEO, sizeof(timeval), Use::any},
    {SOL_SOCKET, SO_TIMESTAMP, kInt, Use::any},
    {SOL_SOCKET, SO_TIMESTAMPNS, kInt, Use::any},
    {SOL_SOCKET, SO_RXQ_OVFL, kInt, Use::any},
    {SOL_SOCKET, SO_PASSCRED, kInt, Use::local},
    {SOL_SOCKET, SO_PASSSEC, kInt, Use::local},
    {SOL_SOCKET, kPassPidfd, kInt, Use::local},
    {SOL_SOCKET, kPassRights, kInt, Use::local},
    {SOL_SOCKET, SO_PEEK_OFF, kInt, Use::any, Way::plain, false, true},
    {SOL_SOCKET, SO_BUSY_POLL, kInt, Use::any},
    {SOL_SOCKET, SO_MAX_PACING_RATE, 8, Use::any},
    {SOL_SOCKET, SO_ZEROCOPY, kInt, Use::internet},
    {SOL_SOCKET, kTxRehash, kInt, Use::tcp},
    {SOL_SOCKET, SO_NO_CHECK, kInt, Use::udp},
    {SOL_SOCKET, kSendBuffer, kInt, Use::any, Way::buffer, true, true},
    {SOL_SOCKET, kReceiveBuffer, kInt, Use::any, Way::buffer, true, true},
    {SOL_SOCKET, kBufferLock, kInt, Use::any, Way::plain, true},
    {IPPROTO_IP, IP_TOS, kInt, Use::internet},
    {IPPROTO_IP, IP_TTL, kInt, Use::internet},
    {IPPROTO_IP, IP_MTU_DISCOVER, kInt, Use::internet},
    {IPPROTO_IP, IP_RECVERR, kInt, Use::internet},
    {IPPROTO_IP, IP_PKTINFO, kInt, Use::internet},
    {IPPROTO_IP, IP_RECVTTL, kInt, Use::internet},
    {IPPROTO_IP, IP_RECVTOS, kInt, Use::internet},
    {IPPROTO_IP, IP_RECVOPTS, kInt, Use::internet},
    {IPPROTO_IP, IP_RETOPTS, kInt, Use::internet},
    {IPPROTO_IP, IP_FREEBIND, kInt, Use::internet},
    {IPPROTO_IP, IP_TRANSPARENT, kInt, Use::internet},
    {IPPROTO_IP, IP_MINTTL, kInt, Use::internet},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, kInt, Use::internet},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, kInt, Use::internet},
    {IPPROTO_IP, IP_CHECKSUM, kInt, Use::datagram},
    {IPPROTO_IP, kLocalPortRange, kInt, Use::internet},
    {IPPROTO_IP, IP_MULTICAST_TTL, kInt, Use::datagram},
    {IPPROTO_IP, IP_MULTICAST_LOOP, kInt, Use::datagram},
    {IPPROTO_IP, IP_MULTICAST_ALL, kInt, Use::datagram},
    {IPPROTO_IPV6, IPV6_V6ONLY, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_TCLASS, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_RECVERR, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_DONTFRAG, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_MINHOPCOUNT, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_FREEBIND, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_TRANSPARENT, kInt, Use::ipv6},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kInt, Use::ipv6_datagram},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, kInt, Use::ipv6_datagram},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, kInt, Use::ipv6_datagram},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, kInt, Use::ipv6_datagram},
    {IPPROTO_TCP, TCP_CONGESTION, 16, Use::tcp, Way::plain, true},
    // of a connection: how far its window has grown
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, kInt, Use::tcp, Way::plain, false, true},
    {IPPROTO_TCP, TCP_NODELAY, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_CORK, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_KEEPIDLE, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_KEEPINTVL, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_KEEPCNT, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_SYNCNT, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_LINGER2, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_FASTOPEN, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_SAVE_SYN, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_INQ, kInt, Use::tcp},
    {IPPROTO_TCP, TCP_TX_DELAY, kInt, Use::tcp},
    {IPPROTO_UDP, UDP_CORK, kInt, Use::udp},
    {IPPROTO_UDP, UDP_SEGMENT, kInt, Use::udp},
    {IPPROTO_UDP, UDP_GRO, kInt, Use::udp},
    {IPPROTO_UDP, UDP_NO_CHECK6_TX, kInt, Use::udp},
    {IPPROTO_UDP, UDP_NO_CHECK6_RX, kInt, Use::udp},
    {IPPROTO_UDPLITE, kUdpliteSend, kInt, Use::udplite},
    {IPPROTO_UDPLITE, kUdpliteReceive, kInt, Use::udplite},
    {IPPROTO_IP, IP_HDRINCL, kInt, Use::raw4},
    {IPPROTO_IP, IP_NODEFRAG, kInt, Use::raw4},
    {SOL_RAW, ICMP_FILTER, kInt, Use::raw4_icmp},
    {SOL_RAW, IPV6_CHECKSUM, kInt, Use::raw6},
    {IPPROTO_IPV6, IPV6_HDRINCL, kInt, Use::raw6},
    {IPPROTO_ICMPV6, ICMP6_FILTER, sizeof(icmp6_filter), Use::raw6_icmp},
    {SOL_PACKET, PACKET_AUXDATA, kInt, Use::packet},
    {SOL_PACKET, PACKET_ORIGDEV, kInt, Use::packet},
    {SOL_PACKET, PACKET_VNET_HDR, kInt, Use::packet},
    {SOL_PACKET, PACKET_VERSION, kInt, Use::packet},
    {SOL_PACKET, PACKET_RESERVE, kInt, Use::packet},
    {SOL_PACKET, PACKET_LOSS, kInt, Use::packet},
    {SOL_PACKET, PACKET_TIMESTAMP, kInt, Use::packet},
    {SOL_PACKET, PACKET_QDISC_BYPASS, kInt, Use::packet},
    {SOL_PACKET, PACKET_IGNORE_OUTGOING, kInt, Use::packet},
    {SOL_NETLINK, NETLINK_PKTINFO, kInt, Use::netlink},
    {SOL_NETLINK, NETLINK_BROADCAST_ERROR, kInt, Use::netlink},
    {SOL_NETLINK, NETLINK_NO_ENOBUFS, kInt, Use::netlink},
    {SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, kInt, Use::netlink},
    {SOL_NETLINK, NETLINK_CAP_ACK, kInt, Use::netlink},
    {SOL_NETLINK, NETLINK_EXT_ACK, kInt, Use::netlink},
    {SOL_NETLINK, NETLINK_GET_STRICT_CHK, kInt, Use::netlink},
};

bool fits(Use use, const SocketShape& shape) {
  bool internet = shape.family == AF_INET || shape.family == AF_INET6;
  bool udp = internet && shape.type == SOCK_DGRAM;
  switch (use) {
    case Use::any: return true;
    case Use::local: return shape.family == AF_UNIX;
    case Use::internet: return internet;
    case Use::ipv4: return shape.family == AF_INET;
    case Use::ipv6: return shape.family == AF_INET6;
    case Use::ipv6_datagram: return shape.family == AF_INET6 && shape.type != SOCK_STREAM;
    case Use::tcp: return internet && shape.type == SOCK_STREAM && shape.protocol != IPPROTO_SCTP;
    case Use::udp: return udp && shape.protocol == IPPROTO_UDP;
    case Use::udplite: return udp && shape.protocol == IPPROTO_UDPLITE;
    case Use::netlink: return shape.family == AF_NETLINK;
    case Use::raw4: return shape.family == AF_INET && shape.type == SOCK_RAW;
    case Use::raw4_icmp: return fits(Use::raw4, shape) && shape.protocol == IPPROTO_ICMP;
    case Use::raw6: return shape.family == AF_INET6 && shape.type == SOCK_RAW;
    case Use::raw6_icmp: return fits(Use::raw6, shape) && shape.protocol == IPPROTO_ICMPV6;
    case Use::packet: return shape.family == AF_PACKET;
    case Use::datagram: return internet && shape.type != SOCK_STREAM;
  }
  return false;
}

// What SO_SNDBUF tells is twice what it was told; the forced form knows no limit but the capability.
Result<void> set_buffer(int fd, int name, int told) {
  int half = told / 2;
  int forced = name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE;
  if (::setsockopt(fd, SOL_SOCKET, forced, &half, sizeof half) == 0) return {};
  return checked_void(::setsockopt(fd, SOL_SOCKET, name, &half, sizeof half), "setsockopt(SO_SNDBUF)");
}

// What bind(2) and connect(2) depend on.
bool is_early(const Known& known) {
  constexpr std::pair<int, int> kEarly[] = {{SOL_SOCKET, SO_REUSEPORT},    {SOL_SOCKET, SO_BINDTODEVICE},
                                            {SOL_SOCKET, SO_MARK},         {IPPROTO_IP, IP_FREEBIND},
                                            {IPPROTO_IP, IP_TRANSPARENT},  {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
                                            {IPPROTO_IP, kLocalPortRange}, {IPPROTO_IPV6, IPV6_V6ONLY},
                                            {IPPROTO_IPV6, IPV6_FREEBIND}, {IPPROTO_IPV6, IPV6_TRANSPARENT}};
  return std::any_of(std::begin(kEarly), std::end(kEarly),
                     [&](auto& each) { return each.first == known.level && each.second == known.name; });
}

const Known* find(int level, int name, const SocketShape& shape) {
  for (const Known& known : kTable) {
    if (known.level == level && known.name == name && fits(known.use, shape)) return &known;
  }
  return nullptr;
}

}  // namespace

Result<int> read_option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  if (::getsockopt(fd, level, name, &value, &length) != 0) return last_error("getsockopt");
  return value;
}

Result<void> set_option(int fd, int level, int name, int value) {
  return checked_void(::setsockopt(fd, level, name, &value, sizeof value), "setsockopt");
}

Result<SocketShape> shape_of(int fd) {
  SocketShape shape{};
  shape.family = TRY(read_option(fd, SOL_SOCKET, SO_DOMAIN));
  shape.type = TRY(read_option(fd, SOL_SOCKET, SO_TYPE));
  shape.protocol = TRY(read_option(fd, SOL_SOCKET, SO_PROTOCOL));
  return shape;
}

namespace {

std::optional<SocketOptionValue> read(int fd, const Known& known) {
  char value[64] = {};
  socklen_t size = static_cast<socklen_t>(known.most_bytes);
  if (::getsockopt(fd, known.level, known.name, value, &size) != 0) return std::nullopt;  // this kind has it not
  if (known.way == Way::name_only_if_set && size == 0) return std::nullopt;
  return SocketOptionValue{known.level, known.name, std::string(value, size)};
}

auto is_of(const Known& known) {
  return [&known](const SocketOptionValue& value) { return value.level == known.level && value.name == known.name; };
}

}  // namespace

std::vector<SocketOptionValue> read_options(int fd, const SocketShape& shape) {
  std::vector<SocketOptionValue> values;
  values.reserve(std::size(kTable));
  for (const Known& known : kTable) {
    if (!fits(known.use, shape)) continue;
    if (auto value = read(fd, known)) values.push_back(std::move(*value));
  }
  return values;
}

void read_moving_options(int fd, const SocketShape& shape, const std::vector<SocketOptionValue>& defaults,
                         std::vector<SocketOptionValue>& changed) {
  for (const Known& known : kTable) {
    if (!known.moves || !fits(known.use, shape)) continue;
    auto value = read(fd, known);
    if (!value) continue;
    auto before = std::ranges::find_if(changed, is_of(known));
    if (before != changed.end()) {
      *before = std::move(*value);
    } else if (auto usual = std::ranges::find_if(defaults, is_of(known));
               usual == defaults.end() || usual->bytes != value->bytes) {
      changed.push_back(std::move(*value));
    }
  }
}

// Both are in the table's order: one pass over the three.
std::vector<SocketOptionValue> changed_options(std::vector<SocketOptionValue> values,
                                               const std::vector<SocketOptionValue>& defaults) {
  std::vector<SocketOptionValue> changed;
  auto value = values.begin();
  auto usual = defaults.begin();
  for (const Known& known : kTable) {
    bool has_usual = usual != defaults.end() && is_of(known)(*usual);
    if (value != values.end() && is_of(known)(*value)) {
      bool same = has_usual && usual->bytes == value->bytes;
      if (known.always || !same) changed.push_back(std::move(*value));
      ++value;
    }
    if (has_usual) ++usual;
  }
  return changed;
}

Result<void> set_options(int fd, const SocketShape& shape, const std::vector<SocketOptionValue>& values,
                         OptionTime time) {
  for (const SocketOptionValue& value : values) {
    const Known* known = find(value.level, value.name, shape);
    if (known == nullptr || value.bytes.size() > known->most_bytes) {
      return error(ErrorKind::corrupt, "an impossible socket option");
    }
    if (time != OptionTime::any && is_early(*known) != (time == OptionTime::before_bind)) continue;
    std::string name = "socket option " + std::to_string(value.level) + "/" + std::to_string(value.name);
    if (known->way == Way::buffer) {
      if (value.bytes.size() != kInt) return error(ErrorKind::corrupt, "an impossible socket option");
      int told = 0;
      std::memcpy(&told, value.bytes.data(), kInt);
      TRY(set_buffer(fd, value.name, told).within(name));
      continue;
    }
    auto size = static_cast<socklen_t>(value.bytes.size());
    if (::setsockopt(fd, value.level, value.name, value.bytes.data(), size) != 0) return last_error("setsockopt", name);
  }
  return {};
}

Result<void> reset_when_closed(int fd) {
  linger at_once{1, 0};
  return checked_void(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), "setsockopt(SO_LINGER)");
}

Result<void> speak_when_closed(int fd) {
  linger ordinary{0, 0};
  return checked_void(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &ordinary, sizeof ordinary), "setsockopt(SO_LINGER)");
}

Result<void> enlarge_send_buffer(int fd, int bytes) { return set_buffer(fd, SO_SNDBUF, bytes * 2); }
Result<void> enlarge_receive_buffer(int fd, int bytes) { return set_buffer(fd, SO_RCVBUF, bytes * 2); }

}  // namespace godwit::sys
