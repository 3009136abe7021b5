#include "sys/ip_packet.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/unique_fd.h"
#include "sys/errno.h"

namespace godwit::sys {

namespace {

constexpr size_t kMostPayload = 65536 - 100;

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
  if (address.size() < sizeof value) return error(ErrorKind::corrupt, "a packet with an impossible address");
  std::memcpy(&value, address.data(), sizeof value);
  if (reinterpret_cast<const sockaddr*>(&value)->sa_family != family) {
    return error(ErrorKind::corrupt, "a packet with addresses of two families");
  }
  return value;
}

bool is_version6(const std::string& address) { return address.size() >= sizeof(sockaddr_in6); }

// Summed up over the addresses too.
void add_checksum(std::string& payload, size_t at, uint8_t protocol, const std::string& addresses) {
  uint32_t sum = sum_of(payload, sum_of(addresses, uint32_t{protocol} + static_cast<uint32_t>(payload.size())));
  uint16_t checksum = htons(folded(sum));
  std::memcpy(&payload[at], &checksum, sizeof checksum);
}

}  // namespace

Result<std::string> ip_packet(uint8_t protocol, const std::string& from, const std::string& to, std::string payload,
                              size_t checksum_at) {
  if (payload.size() > kMostPayload) return error(ErrorKind::corrupt, "a packet that is too large");
  if (!is_version6(to)) {
    auto source = TRY(address_as<sockaddr_in>(from, AF_INET));
    auto target = TRY(address_as<sockaddr_in>(to, AF_INET));
    std::string addresses(bytes_of(source.sin_addr));
    addresses += bytes_of(target.sin_addr);
    add_checksum(payload, checksum_at, protocol, addresses);
    iphdr header{};
    header.version = 4;
    header.ihl = 5;
    header.ttl = 64;
    header.protocol = protocol;
    header.saddr = source.sin_addr.s_addr;
    header.daddr = target.sin_addr.s_addr;  // identification and checksum: raw(7), the kernel fills them in
    header.tot_len = htons(static_cast<uint16_t>(sizeof header + payload.size()));
    return std::string(bytes_of(header)) + payload;
  }
  auto source = TRY(address_as<sockaddr_in6>(from, AF_INET6));
  auto target = TRY(address_as<sockaddr_in6>(to, AF_INET6));
  std::string addresses(bytes_of(source.sin6_addr));
  addresses += bytes_of(target.sin6_addr);
  add_checksum(payload, checksum_at, protocol, addresses);
  ip6_hdr header{};
  header.ip6_ctlun.ip6_un1.ip6_un1_flow = htonl(uint32_t{6} << 28);
  header.ip6_ctlun.ip6_un1.ip6_un1_plen = htons(static_cast<uint16_t>(payload.size()));
  header.ip6_ctlun.ip6_un1.ip6_un1_nxt = protocol;
  header.ip6_ctlun.ip6_un1.ip6_un1_hlim = 64;
  header.ip6_src = source.sin6_addr;
  header.ip6_dst = target.sin6_addr;
  return std::string(bytes_of(header)) + payload;
}

Result<void> deliver_packet(const std::string& packet, const std::string& to) {
  bool six = is_version6(to);
  UniqueFd raw(::socket(six ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!raw.valid()) return last_error("socket", "a raw socket");
  sockaddr_storage target{};
  std::memcpy(&target, to.data(), std::min(to.size(), sizeof target));
  if (six) reinterpret_cast<sockaddr_in6*>(&target)->sin6_port = 0;  // raw sockets know no ports
  auto length = static_cast<socklen_t>(six ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
  ssize_t sent =
      ::sendto(raw.get(), packet.data(), packet.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&target), length);
  if (sent < 0) return last_error("sendto", "delivering a packet by hand");
  return {};
}

}  // namespace godwit::sys
