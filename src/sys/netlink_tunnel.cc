#include "sys/netlink_tunnel.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "sys/netlink_attributes.h"

namespace godwit::sys {

void add_tunnel(NetlinkBatch& batch, const std::string& name, uint16_t port) {
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, NetlinkBatch::Tolerate::already_there);
  ifinfomsg link{};
  batch.header(&link, sizeof link);
  batch.attribute_text(IFLA_IFNAME, name.c_str());
  size_t info = batch.open(IFLA_LINKINFO);
  batch.attribute_text(IFLA_INFO_KIND, "vxlan");
  size_t data = batch.open(IFLA_INFO_DATA);
  uint16_t wire_port = htons(port);
  batch.attribute_u8(IFLA_VXLAN_COLLECT_METADATA, 1);
  batch.attribute_u8(IFLA_VXLAN_LEARNING, 0);
  batch.attribute(IFLA_VXLAN_PORT, &wire_port, sizeof wire_port);
  batch.attribute(IFLA_VXLAN_GPE, nullptr, 0);
  batch.close(data);
  batch.close(info);
}

Result<uint16_t> tunnel_port(Netlink& netlink, const std::string& name) {
  NetlinkBatch question;
  question.begin(RTM_GETLINK, 0);
  ifinfomsg link{};
  question.header(&link, sizeof link);
  question.attribute_text(IFLA_IFNAME, name.c_str());
  uint16_t port = 0;
  auto asked = netlink.run(question, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWLINK) return;
    Attributes info(Attributes(message, sizeof(ifinfomsg)).find(IFLA_LINKINFO));
    port = ntohs(Attributes(info.find(IFLA_INFO_DATA)).value<uint16_t>(IFLA_VXLAN_PORT).value_or(0));
  });
  if (!asked && asked.error().errno_value == ENODEV) return error(ErrorKind::gone, "no interface " + name);
  TRY(std::move(asked));
  return port;
}

}  // namespace godwit::sys
