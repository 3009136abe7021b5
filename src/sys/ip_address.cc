#include "sys/ip_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstring>

#include "sys/socket_names.h"

namespace godwit::sys {

std::optional<IpAddress> parse_ip_address(const std::string& text) {
  IpAddress address;
  address.family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (::inet_pton(address.family, text.c_str(), address.bytes.data()) != 1) return std::nullopt;
  return address;
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  return ::inet_ntop(address.family, address.bytes.data(), text, sizeof text) == nullptr ? std::string() : text;
}

unsigned interface_with_address(const IpAddress& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return 0;
  unsigned index = 0;
  for (ifaddrs* each = list; each != nullptr && index == 0; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != address.family) continue;
    const void* bytes = address.family == AF_INET
                            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(each->ifa_addr)->sin_addr)
                            : static_cast<const void*>(&reinterpret_cast<sockaddr_in6*>(each->ifa_addr)->sin6_addr);
    if (std::memcmp(bytes, address.bytes.data(), address.length()) == 0) index = ::if_nametoindex(each->ifa_name);
  }
  ::freeifaddrs(list);
  return index;
}

std::optional<IpAddress> ip_of(const std::string& address) {
  std::string plain = unmapped(address);
  IpAddress ip;
  ip.family = plain.size() >= sizeof(sockaddr_in6) ? AF_INET6 : AF_INET;
  size_t offset = ip.family == AF_INET6 ? offsetof(sockaddr_in6, sin6_addr) : offsetof(sockaddr_in, sin_addr);
  if (plain.size() < offset + ip.length()) return std::nullopt;
  std::memcpy(ip.bytes.data(), plain.data() + offset, ip.length());
  return ip;
}

}  // namespace godwit::sys
