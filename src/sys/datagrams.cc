#include "sys/datagrams.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

#include "sys/errno.h"
#include "sys/ip_packet.h"
#include "sys/socket_options.h"

namespace godwit::sys {

namespace {

constexpr size_t kMostBytes = 65536;

// The port lies at the same place in both families.
uint16_t port_in_network_order(const std::string& address) {
  sockaddr_in start{};
  std::memcpy(&start, address.data(), std::min(address.size(), sizeof start));
  return start.sin_port;
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
  if (datagram.content.size() > kMostBytes) return error(ErrorKind::corrupt, "a datagram that is too large");
  udphdr header{};
  header.source = port_in_network_order(datagram.from);
  header.dest = port_in_network_order(to);
  auto length = static_cast<uint16_t>(sizeof header + datagram.content.size());
  header.len = protocol == IPPROTO_UDPLITE ? 0 : htons(length);  // UDP-Lite: all of it is covered (RFC 3828)
  std::string payload(reinterpret_cast<const char*>(&header), sizeof header);
  payload += datagram.content;
  return ip_packet(protocol, datagram.from, to, std::move(payload), offsetof(udphdr, check));
}

Result<void> deliver_datagram(uint8_t protocol, const Datagram& datagram, const std::string& to) {
  return deliver_packet(TRY(packet_of(protocol, datagram, to)), to);
}

}  // namespace godwit::sys
