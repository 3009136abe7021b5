#include "sys/closed_connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "sys/file.h"
#include "sys/ip_address.h"
#include "sys/network_visit.h"
#include "sys/socket_state.h"
#include "sys/tcp_repair.h"

namespace godwit::sys {

namespace {

constexpr uint32_t bit(TcpState state) { return 1U << static_cast<uint32_t>(state); }

// Source: proc_pid_net(5); Linux net/ipv4/proc.c, sockstat_seq_show: "orphan" counts those of all namespaces, "inuse"
// all of this one that are in the table of connections, with descriptors or without, or listen.
bool says(int fd, const char* what) {
  std::array<char, 1024> text{};
  ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  return got > 0 && std::string_view(text.data(), static_cast<size_t>(got)).find(what) != std::string_view::npos;
}

std::string address_of(uint8_t family, const __be32* bytes, __be16 port) {
  if (family == AF_INET) {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = port;
    std::memcpy(&four.sin_addr, bytes, sizeof four.sin_addr);
    return {reinterpret_cast<const char*>(&four), sizeof four};
  }
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = port;
  std::memcpy(&six.sin6_addr, bytes, sizeof six.sin6_addr);
  return {reinterpret_cast<const char*>(&six), sizeof six};
}

LastWords last_words_of(const inet_diag_msg& found) {
  return {address_of(found.idiag_family, found.id.idiag_src, found.id.idiag_sport),
          address_of(found.idiag_family, found.id.idiag_dst, found.id.idiag_dport), found.idiag_wqueue};
}

}  // namespace

std::string name_of(const std::string& address) {
  auto ip = ip_of(address);
  return (ip ? to_string(*ip) : "?") + " port " + std::to_string(port_of(address));
}

Result<ClosedConnections> ClosedConnections::open(int pidfd) {
  std::optional<Netlink> netlink;
  UniqueFd four, six;
  bool has_six = true;
  TRY(in_network_of(pidfd, [&]() -> Result<void> {
    netlink = TRY(Netlink::open(NETLINK_SOCK_DIAG));
    four = open_path("/proc/thread-self/net/sockstat", O_RDONLY).value_or(UniqueFd());
    auto opened = open_path("/proc/thread-self/net/sockstat6", O_RDONLY);
    has_six = opened || opened.error().errno_value != ENOENT;
    if (opened) six = std::move(*opened);
    return {};
  }));
  ClosedConnections closed(std::move(*netlink), std::move(four), std::move(six), has_six);
  std::vector<LastWords> words;
  (void)closed.add(AF_INET, words);  // may load a module of the kernel: now, not in a freeze
  return closed;
}

bool ClosedConnections::may_be_some() const {
  if (says(four_.get(), " orphan 0 ")) return false;
  bool none_of_four = says(four_.get(), "TCP: inuse 0 ");
  bool none_of_six = !has_six_ || says(six_.get(), "TCP6: inuse 0\n");
  return !none_of_four || !none_of_six;
}

Result<std::vector<LastWords>> ClosedConnections::last_words() {
  std::vector<LastWords> words;
  if (!may_be_some()) return words;
  TRY(add(AF_INET, words));
  TRY(add(AF_INET6, words));
  return words;
}

Result<void> ClosedConnections::add(uint8_t family, std::vector<LastWords>& into) {
  inet_diag_req_v2 wanted{};
  wanted.sdiag_family = family;
  wanted.sdiag_protocol = IPPROTO_TCP;
  wanted.idiag_states = bit(TcpState::fin_wait1) | bit(TcpState::last_ack) | bit(TcpState::closing);
  NetlinkBatch batch;
  batch.begin(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  batch.header(&wanted, sizeof wanted);
  return netlink_.run(batch, [&](const nlmsghdr* message) {
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return;
    inet_diag_msg found{};
    std::memcpy(&found, NLMSG_DATA(message), sizeof found);
    bool closed = found.idiag_inode == 0;
    if (closed && found.idiag_wqueue > 0) into.push_back(last_words_of(found));
  });
}

}  // namespace godwit::sys
