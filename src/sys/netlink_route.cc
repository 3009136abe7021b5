#include "sys/netlink_route.h"

#include <libmnl/libmnl.h>
#include <linux/lwtunnel.h>
#include <linux/rtnetlink.h>

#include "sys/netlink_attributes.h"
#include "sys/netlink_tunnel.h"

namespace godwit::sys {

namespace {

// The tunnel's packets are made of these. 64 hops, as for any other packet of this machine.
void put_tunnel_end(NetlinkBatch& batch, const IpAddress& end) {
  constexpr uint8_t kHops = 64;
  const uint64_t id = htobe64(kTunnelId);
  uint16_t type = LWTUNNEL_ENCAP_IP;
  batch.attribute(RTA_ENCAP_TYPE, &type, sizeof type);
  size_t encapsulation = batch.open(RTA_ENCAP);
  batch.attribute(LWTUNNEL_IP_ID, &id, sizeof id);
  batch.attribute(LWTUNNEL_IP_DST, end.bytes.data(), end.length());
  batch.attribute_u8(LWTUNNEL_IP_TTL, kHops);
  batch.close(encapsulation);
}

void put(NetlinkBatch& batch, const Route& route, bool removing) {
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(route.to.family);
  header.rtm_dst_len = route.prefix;
  header.rtm_table = RT_TABLE_UNSPEC;  // the attribute says
  header.rtm_protocol = removing ? RTPROT_UNSPEC : route.protocol;
  header.rtm_type = removing ? RTN_UNSPEC : RTN_UNICAST;
  header.rtm_scope = removing ? RT_SCOPE_NOWHERE : route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (route.gateway && route.interface != 0) header.rtm_flags = RTNH_F_ONLINK;
  batch.header(&header, sizeof header);
  batch.attribute_u32(RTA_TABLE, route.table);
  if (route.prefix > 0) batch.attribute(RTA_DST, route.to.bytes.data(), route.to.length());
  if (route.metric != 0) batch.attribute_u32(RTA_PRIORITY, route.metric);
  if (route.interface != 0) batch.attribute_u32(RTA_OIF, route.interface);
  if (route.gateway) batch.attribute(RTA_GATEWAY, route.gateway->bytes.data(), route.gateway->length());
  if (route.source && !removing) batch.attribute(RTA_PREFSRC, route.source->bytes.data(), route.source->length());
  if (route.largest_packet != 0 && !removing) {
    size_t metrics = batch.open(RTA_METRICS);
    batch.attribute_u32(RTAX_MTU, route.largest_packet);
    batch.close(metrics);
  }
  if (route.tunnel_end && !removing) put_tunnel_end(batch, *route.tunnel_end);
}

}  // namespace

void set_route(NetlinkBatch& batch, const Route& route) {
  batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  put(batch, route, false);
}

void remove_route(NetlinkBatch& batch, const Route& route) {
  batch.begin(RTM_DELROUTE, 0, NetlinkBatch::Tolerate::not_there);
  put(batch, route, true);
}

Result<PathTo> path_to(Netlink& netlink, const IpAddress& address) {
  NetlinkBatch question;
  question.begin(RTM_GETROUTE, 0);
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(address.family);
  header.rtm_dst_len = address.bits();
  question.header(&header, sizeof header);
  question.attribute(RTA_DST, address.bytes.data(), address.length());
  PathTo path;
  TRY(netlink.run(question, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(message) < sizeof(rtmsg)) return;
    path.here = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message))->rtm_type == RTN_LOCAL;
    Attributes attributes(message, sizeof(rtmsg));
    path.interface = attributes.value<uint32_t>(RTA_OIF).value_or(0);
    path.by_gateway = attributes.find(RTA_GATEWAY) != nullptr || attributes.find(RTA_VIA) != nullptr;
  }));
  return path;
}

}  // namespace godwit::sys
