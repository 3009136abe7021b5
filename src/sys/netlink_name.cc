#include "sys/netlink_name.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

constexpr uint32_t kBits = 32;
constexpr size_t kMostWords = 64;  // of groups

Result<std::vector<uint32_t>> groups_of(int fd) {
  std::array<uint32_t, kMostWords> words{};
  socklen_t size = sizeof words;
  if (::getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words.data(), &size) != 0) {
    return last_error("getsockopt(NETLINK_LIST_MEMBERSHIPS)");
  }
  if (size > sizeof words) return error(ErrorKind::unsupported, "a netlink socket of too many groups");
  std::vector<uint32_t> groups;
  for (uint32_t bit = 0; bit < size * 8; ++bit) {
    if ((words[bit / kBits] >> (bit % kBits) & 1) != 0) groups.push_back(bit + 1);
  }
  return groups;
}

}  // namespace

Result<NetlinkName> netlink_name(int fd) {
  sockaddr_nl own{};
  socklen_t size = sizeof own;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) return last_error("getsockname");
  return NetlinkName{own.nl_pid, TRY(groups_of(fd))};
}

Result<void> set_netlink_name(int fd, const NetlinkName& name) {
  if (name.port != 0) {
    sockaddr_nl own{};
    own.nl_family = AF_NETLINK;
    own.nl_pid = name.port;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) return last_error("bind", "a netlink port");
  }
  for (uint32_t group : name.groups) {
    if (::setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      return last_error("setsockopt(NETLINK_ADD_MEMBERSHIP)");
    }
  }
  return {};
}

Result<NetlinkPeer> netlink_peer(int fd) {
  sockaddr_nl peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return last_error("getpeername");
  return NetlinkPeer{peer.nl_pid, peer.nl_groups};
}

}  // namespace godwit::sys
