#include "sys/netlink_link.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

namespace godwit::sys {

namespace {

// Before it is switched on: that is when they would be made.
void no_made_up_addresses(NetlinkBatch& batch, unsigned index) {
  batch.begin(RTM_NEWLINK, 0);
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  batch.header(&link, sizeof link);
  size_t families = batch.open(IFLA_AF_SPEC);
  size_t version6 = batch.open(AF_INET6);
  batch.attribute_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  batch.close(version6);
  batch.close(families);
}

}  // namespace

void add_veth(NetlinkBatch& batch, const VethPair& pair) {
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, NetlinkBatch::Tolerate::already_there);
  ifinfomsg link{};
  batch.header(&link, sizeof link);
  batch.attribute_text(IFLA_IFNAME, pair.name.c_str());
  batch.attribute(IFLA_ADDRESS, pair.address.data(), pair.address.size());
  size_t info = batch.open(IFLA_LINKINFO);
  batch.attribute_text(IFLA_INFO_KIND, "veth");
  size_t data = batch.open(IFLA_INFO_DATA);
  size_t peer = batch.open(VETH_INFO_PEER);
  ifinfomsg other{};
  other.ifi_index = static_cast<int>(pair.peer_index);
  batch.header(&other, sizeof other);
  batch.attribute_text(IFLA_IFNAME, pair.peer_name.c_str());
  batch.attribute(IFLA_ADDRESS, pair.address.data(), pair.address.size());
  if (pair.peer_namespace >= 0) {
    batch.attribute_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(pair.peer_namespace));
  }
  batch.close(peer);
  batch.close(data);
  batch.close(info);
}

void switch_on(NetlinkBatch& batch, unsigned index, Resolution resolution) {
  no_made_up_addresses(batch, index);
  batch.begin(RTM_NEWLINK, 0);
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  link.ifi_change = IFF_UP | IFF_NOARP;
  link.ifi_flags =
      static_cast<unsigned>(IFF_UP) | (resolution == Resolution::none ? static_cast<unsigned>(IFF_NOARP) : 0u);
  batch.header(&link, sizeof link);
}

void remove_link(NetlinkBatch& batch, const std::string& name) {
  batch.begin(RTM_DELLINK, 0, NetlinkBatch::Tolerate::not_there);
  ifinfomsg link{};
  batch.header(&link, sizeof link);
  batch.attribute_text(IFLA_IFNAME, name.c_str());
}

void set_mtu(NetlinkBatch& batch, unsigned index, uint32_t bytes) {
  batch.begin(RTM_NEWLINK, 0);
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  batch.header(&link, sizeof link);
  batch.attribute_u32(IFLA_MTU, bytes);
}

unsigned interface_index(const std::string& name) { return ::if_nametoindex(name.c_str()); }

std::string interface_name(unsigned index) {
  char name[IF_NAMESIZE] = {};
  return ::if_indextoname(index, name) == nullptr ? std::string() : name;
}

}  // namespace godwit::sys
