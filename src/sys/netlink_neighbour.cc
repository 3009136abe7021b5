#include "sys/netlink_neighbour.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <cstring>

namespace godwit::sys {

namespace {

void put(NetlinkBatch& batch, const Neighbour& neighbour, uint16_t state) {
  ndmsg header{};
  header.ndm_family = static_cast<uint8_t>(neighbour.address.family);
  header.ndm_ifindex = static_cast<int>(neighbour.interface);
  header.ndm_state = state;
  batch.header(&header, sizeof header);
  batch.attribute(NDA_DST, neighbour.address.bytes.data(), neighbour.address.length());
}

}  // namespace

void set_neighbour(NetlinkBatch& batch, const Neighbour& neighbour, const HardwareAddress& hardware) {
  batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  put(batch, neighbour, NUD_PERMANENT);
  batch.attribute(NDA_LLADDR, hardware.data(), hardware.size());
}

void fail_neighbour(NetlinkBatch& batch, const Neighbour& neighbour) {
  batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  put(batch, neighbour, NUD_FAILED);
}

void forget_neighbour(NetlinkBatch& batch, const Neighbour& neighbour) {
  batch.begin(RTM_DELNEIGH, 0, NetlinkBatch::Tolerate::not_there);
  put(batch, neighbour, 0);
}

void let_programs_resolve(NetlinkBatch& batch, int family, unsigned interface, QueueRules rules) {
  batch.begin(RTM_SETNEIGHTBL, 0);
  ndtmsg header{};
  header.ndtm_family = static_cast<uint8_t>(family);
  batch.header(&header, sizeof header);
  batch.attribute_text(NDTA_NAME, family == AF_INET ? "arp_cache" : "ndisc_cache");
  size_t parameters = batch.open(NDTA_PARMS);
  batch.attribute_u32(NDTPA_IFINDEX, interface);
  batch.attribute_u32(NDTPA_QUEUE_LENBYTES, rules.most_bytes);
  batch.attribute_u32(NDTPA_APP_PROBES, rules.most_seconds);
  batch.attribute_u32(NDTPA_MCAST_PROBES, 0);
  batch.attribute_u32(NDTPA_UCAST_PROBES, 0);
  batch.attribute_u64(NDTPA_RETRANS_TIME, 1000);
  batch.close(parameters);
}

std::optional<Neighbour> wanted_neighbour(const nlmsghdr* message) {
  if (message->nlmsg_type != RTM_GETNEIGH || mnl_nlmsg_get_payload_len(message) < sizeof(ndmsg)) return std::nullopt;
  const auto* header = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message));
  Neighbour wanted;
  wanted.address.family = header->ndm_family;
  wanted.interface = static_cast<unsigned>(header->ndm_ifindex);
  auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(message, sizeof(ndmsg)));
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(message));
  for (; mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute)) {
    if (mnl_attr_get_type(attribute) != NDA_DST) continue;
    if (mnl_attr_get_payload_len(attribute) != wanted.address.length()) return std::nullopt;
    std::memcpy(wanted.address.bytes.data(), mnl_attr_get_payload(attribute), wanted.address.length());
    return wanted;
  }
  return std::nullopt;
}

}  // namespace godwit::sys
