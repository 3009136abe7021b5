#include "sys/netlink_route.h"

#include <linux/rtnetlink.h>

namespace godwit::sys {

namespace {

void put(NetlinkBatch& batch, const Route& route, bool removing) {
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(route.to.family);
  header.rtm_dst_len = route.prefix;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = removing ? RTPROT_UNSPEC : RTPROT_STATIC;
  header.rtm_type = removing ? RTN_UNSPEC : RTN_UNICAST;
  header.rtm_scope = removing ? RT_SCOPE_NOWHERE : route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (route.gateway && route.interface != 0) header.rtm_flags = RTNH_F_ONLINK;
  batch.header(&header, sizeof header);
  if (route.prefix > 0) batch.attribute(RTA_DST, route.to.bytes.data(), route.to.length());
  if (route.metric != 0) batch.attribute_u32(RTA_PRIORITY, route.metric);
  if (route.interface != 0) batch.attribute_u32(RTA_OIF, route.interface);
  if (route.gateway) batch.attribute(RTA_GATEWAY, route.gateway->bytes.data(), route.gateway->length());
  if (route.source && !removing) batch.attribute(RTA_PREFSRC, route.source->bytes.data(), route.source->length());
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

}  // namespace godwit::sys
