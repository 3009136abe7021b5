#include "sys/datagrams.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

#include "base/unique_fd.h"
#include "sys/errno.h"
#include "sys/socket_options.h"

namespace godwit::sys {

namespace {

constexpr size_t kMostBytes = 65536;

uint32_t sum_of(std::string_view bytes, uint32_t sum) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    uint32_t byte = static_cast<unsigned char>(bytes[i]);
    sum += i % 2 == 0 ? byte << 8 : byte;
  }
  return sum;
}

uint16_t folded(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  auto complement = static_cast<uint16_t>(~sum & 0xffff);
  return complement == 0 ? 0xffff : complement;  // 0 would mean: no checksum
}

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <class T>
Result<T> address_as(const std::string& address, int family) {
  T value{};
  if (address.size() < sizeof value) return error(ErrorKind::corrupt, "a datagram with an impossible address");
  std::memcpy(&value, address.data(), sizeof value);
  if (reinterpret_cast<const sockaddr*>(&value)->sa_family != family) {
    return error(ErrorKind::corrupt, "a datagram with addresses of two families");
  }
  return value;
}

// Header and content, summed up over `pseudo` (RFC 768, RFC 8200 section 8.1).
std::string transport_part(uint8_t protocol, uint16_t from, uint16_t to, const std::string& content,
                           const std::string& addresses) {
  udphdr header{};
  header.source = from;
  header.dest = to;
  auto length = static_cast<uint16_t>(sizeof header + content.size());
  header.len = protocol == IPPROTO_UDPLITE ? 0 : htons(length);  // UDP-Lite: all of it is covered (RFC 3828)
  std::string part(bytes_of(header));
  part += content;
  uint32_t sum = sum_of(part, sum_of(addresses, uint32_t{protocol} + length));
  header.check = htons(folded(sum));
  std::memcpy(part.data(), &header, sizeof header);
  return part;
}

}  // namespace

Result<std::vector<Datagram>> peek_datagrams(int fd) {
  std::vector<Datagram> datagrams;
  pollfd one{fd, POLLIN, 0};
  if (::poll(&one, 1, 0) <= 0 || (one.revents & POLLIN) == 0) return datagrams;
  int before = TRY(read_option(fd, SOL_SOCKET, SO_PEEK_OFF));
  TRY(set_option(fd, SOL_SOCKET, SO_PEEK_OFF, 0));
  auto buffer = std::make_unique_for_overwrite<char[]>(kMostBytes);
  Result<void> outcome;
  for (;;) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    ssize_t size =
        ::recvfrom(fd, buffer.get(), kMostBytes, MSG_PEEK | MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0 && errno != EAGAIN) outcome = last_error("recvfrom", "looking into a UDP socket");
    if (size < 0) break;
    datagrams.push_back({std::string(reinterpret_cast<const char*>(&from), length),
                         std::string(buffer.get(), static_cast<size_t>(size))});
  }
  TRY(set_option(fd, SOL_SOCKET, SO_PEEK_OFF, before));
  TRY(std::move(outcome));
  return datagrams;
}

Result<std::string> packet_of(uint8_t protocol, const Datagram& datagram, const std::string& to) {
  if (datagram.content.size() > kMostBytes - 100) return error(ErrorKind::corrupt, "a datagram that is too large");
  if (to.size() < sizeof(sockaddr_in6)) {
    auto source = TRY(address_as<sockaddr_in>(datagram.from, AF_INET));
    auto target = TRY(address_as<sockaddr_in>(to, AF_INET));
    std::string addresses(bytes_of(source.sin_addr));
    addresses += bytes_of(target.sin_addr);
    std::string part = transport_part(protocol, source.sin_port, target.sin_port, datagram.content, addresses);
    iphdr header{};
    header.version = 4;
    header.ihl = 5;
    header.ttl = 64;
    header.protocol = protocol;
    header.saddr = source.sin_addr.s_addr;
    header.daddr = target.sin_addr.s_addr;  // length, identification and checksum: raw(7), the kernel fills them in
    header.tot_len = htons(static_cast<uint16_t>(sizeof header + part.size()));
    return std::string(bytes_of(header)) + part;
  }
  auto source = TRY(address_as<sockaddr_in6>(datagram.from, AF_INET6));
  auto target = TRY(address_as<sockaddr_in6>(to, AF_INET6));
  std::string addresses(bytes_of(source.sin6_addr));
  addresses += bytes_of(target.sin6_addr);
  std::string part = transport_part(protocol, source.sin6_port, target.sin6_port, datagram.content, addresses);
  ip6_hdr header{};
  header.ip6_ctlun.ip6_un1.ip6_un1_flow = htonl(uint32_t{6} << 28);
  header.ip6_ctlun.ip6_un1.ip6_un1_plen = htons(static_cast<uint16_t>(part.size()));
  header.ip6_ctlun.ip6_un1.ip6_un1_nxt = protocol;
  header.ip6_ctlun.ip6_un1.ip6_un1_hlim = 64;
  header.ip6_src = source.sin6_addr;
  header.ip6_dst = target.sin6_addr;
  return std::string(bytes_of(header)) + part;
}

Result<void> deliver_datagram(uint8_t protocol, const Datagram& datagram, const std::string& to) {
  std::string packet = TRY(packet_of(protocol, datagram, to));
  bool six = to.size() >= sizeof(sockaddr_in6);
  UniqueFd raw(::socket(six ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!raw.valid()) return last_error("socket", "a raw socket");
  sockaddr_storage target{};
  std::memcpy(&target, to.data(), std::min(to.size(), sizeof target));
  if (six) reinterpret_cast<sockaddr_in6*>(&target)->sin6_port = 0;  // raw sockets know no ports
  auto length = static_cast<socklen_t>(six ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
  ssize_t sent =
      ::sendto(raw.get(), packet.data(), packet.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&target), length);
  if (sent < 0) return last_error("sendto", "delivering a datagram again");
  return {};
}

}  // namespace godwit::sys
