#include "sys/multicast.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <sstream>

#include "sys/errno.h"
#include "sys/text_file.h"

namespace godwit::sys {

namespace {

constexpr size_t kMostSources = 64;

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

int level_of(int family) { return family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP; }

bool parse_ipv6(const std::string& digits, in6_addr& into) {
  if (digits.size() != 32) return false;
  for (size_t i = 0; i < 16; ++i) {
    auto [end, failed] = std::from_chars(&digits[i * 2], &digits[i * 2] + 2, into.s6_addr[i], 16);
    if (failed != std::errc() || end != &digits[i * 2] + 2) return false;
  }
  return true;
}

}  // namespace

std::vector<MulticastGroup> parse_groups(std::string_view igmp, std::string_view igmp6) {
  std::vector<MulticastGroup> groups;
  std::istringstream four{std::string(igmp)};
  uint32_t interface = 0;
  for (std::string line; std::getline(four, line);) {
    std::istringstream words(line);
    std::string first;
    if (!(words >> first)) continue;
    if (line.front() != '\t' && line.front() != ' ') {  // an interface; its groups follow, indented
      interface = 0;
      (void)std::from_chars(first.data(), first.data() + first.size(), interface);
      continue;
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    auto [end, failed] = std::from_chars(first.data(), first.data() + first.size(), address.sin_addr.s_addr, 16);
    if (failed == std::errc() && interface != 0) groups.push_back({interface, bytes_of(address)});
  }
  std::istringstream six{std::string(igmp6)};
  for (std::string line; std::getline(six, line);) {
    std::istringstream words(line);
    std::string device, digits;
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    if (words >> interface >> device >> digits && parse_ipv6(digits, address.sin6_addr)) {
      groups.push_back({interface, bytes_of(address)});
    }
  }
  return groups;
}

Result<std::vector<MulticastGroup>> joined_groups(pid_t pid) {
  std::string base = "/proc/" + std::to_string(pid) + "/net/";
  auto four = read_text(base + "igmp"), six = read_text(base + "igmp6");  // absent without that protocol
  return parse_groups(four ? *four : std::string(), six ? *six : std::string());
}

std::vector<Membership> memberships_of(int fd, int family, const std::vector<MulticastGroup>& groups) {
  std::vector<Membership> found;
  for (const MulticastGroup& group : groups) {
    bool same_family = (group.address.size() == sizeof(sockaddr_in6)) == (family == AF_INET6);
    if (!same_family) continue;
    alignas(group_filter) char buffer[GROUP_FILTER_SIZE(kMostSources)] = {};
    auto* filter = reinterpret_cast<group_filter*>(buffer);
    filter->gf_interface = group.interface;
    filter->gf_numsrc = kMostSources;
    std::memcpy(&filter->gf_group, group.address.data(), group.address.size());
    socklen_t length = sizeof buffer;
    if (::getsockopt(fd, level_of(family), MCAST_MSFILTER, buffer, &length) != 0) continue;  // not a member
    bool everybody = filter->gf_fmode == MCAST_EXCLUDE && filter->gf_numsrc == 0;
    found.push_back({group, everybody ? std::string() : std::string(buffer, GROUP_FILTER_SIZE(filter->gf_numsrc))});
  }
  return found;
}

Result<void> join_group(int fd, int family, const Membership& membership) {
  group_req request{};
  request.gr_interface = membership.group.interface;
  if (membership.group.address.size() > sizeof request.gr_group || membership.filter.size() > 65536) {
    return error(ErrorKind::corrupt, "an impossible multicast group");
  }
  std::memcpy(&request.gr_group, membership.group.address.data(), membership.group.address.size());
  if (::setsockopt(fd, level_of(family), MCAST_JOIN_GROUP, &request, sizeof request) != 0) {
    return last_error("setsockopt(MCAST_JOIN_GROUP)");
  }
  if (membership.filter.empty()) return {};
  return checked_void(::setsockopt(fd, level_of(family), MCAST_MSFILTER, membership.filter.data(),
                                   static_cast<socklen_t>(membership.filter.size())),
                      "setsockopt(MCAST_MSFILTER)");
}

}  // namespace godwit::sys
