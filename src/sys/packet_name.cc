#include "sys/packet_name.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

template <class T>
T read_as(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void take_attribute(const rtattr* attribute, PacketRecord& into) {
  const auto* data = static_cast<const char*>(RTA_DATA(attribute));
  size_t size = RTA_PAYLOAD(attribute);
  bool ring = attribute->rta_type == PACKET_DIAG_RX_RING || attribute->rta_type == PACKET_DIAG_TX_RING;
  into.ring = into.ring || ring;
  into.fanout = into.fanout || attribute->rta_type == PACKET_DIAG_FANOUT;
  if (attribute->rta_type != PACKET_DIAG_MCLIST) return;
  for (size_t at = 0; at + sizeof(packet_diag_mclist) <= size; at += sizeof(packet_diag_mclist)) {
    auto member = read_as<packet_diag_mclist>(data + at);
    size_t length = std::min<size_t>(member.pdmc_alen, sizeof member.pdmc_addr);
    into.memberships.push_back({static_cast<int32_t>(member.pdmc_index), member.pdmc_type, member.pdmc_count,
                                std::string(reinterpret_cast<const char*>(member.pdmc_addr), length)});
  }
}

void take_record(const nlmsghdr* message, std::map<uint64_t, PacketRecord>& into) {
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(packet_diag_msg))) return;
  auto found = read_as<packet_diag_msg>(NLMSG_DATA(message));
  PacketRecord& record = into[found.pdiag_ino];
  auto* attribute = reinterpret_cast<const rtattr*>(static_cast<const char*>(NLMSG_DATA(message)) +
                                                    NLMSG_ALIGN(sizeof(packet_diag_msg)));
  int left = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof(packet_diag_msg)));
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) take_attribute(attribute, record);
}

}  // namespace

Result<PacketName> packet_name(int fd) {
  sockaddr_ll address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return last_error("getsockname");
  return PacketName{ntohs(address.sll_protocol), address.sll_ifindex};
}

Result<void> set_packet_name(int fd, const PacketName& name) {
  if (name.protocol == 0 && name.interface == 0) return {};
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(name.protocol);
  address.sll_ifindex = name.interface;
  return checked_void(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
}

Result<void> join_packets(int fd, const PacketMembership& membership) {
  packet_mreq wanted{};
  if (membership.address.size() > sizeof wanted.mr_address) {
    return error(ErrorKind::corrupt, "an impossible membership of a packet socket");
  }
  wanted.mr_ifindex = membership.interface;
  wanted.mr_type = membership.type;
  wanted.mr_alen = static_cast<uint16_t>(membership.address.size());
  std::copy(membership.address.begin(), membership.address.end(), wanted.mr_address);
  return checked_void(::setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wanted, sizeof wanted),
                      "setsockopt(PACKET_ADD_MEMBERSHIP)");
}

Result<std::map<uint64_t, PacketRecord>> packet_sockets(int netlink) {
  struct {
    nlmsghdr header;
    packet_diag_req body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = AF_PACKET;
  request.body.pdiag_show = PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT;
  if (::send(netlink, &request, sizeof request, 0) < 0) return last_error("send", "asking for packet sockets");
  std::map<uint64_t, PacketRecord> records;
  alignas(nlmsghdr) static thread_local char buffer[32768];
  for (;;) {
    ssize_t size = ::recv(netlink, buffer, sizeof buffer, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return last_error("recv", "asking for packet sockets");
    auto left = static_cast<unsigned>(size);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      // Where the kernel does not describe them none is found.
      if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) return records;
      take_record(message, records);
    }
  }
}

}  // namespace godwit::sys
