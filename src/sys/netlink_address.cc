#include "sys/netlink_address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

namespace godwit::sys {

void add_address(NetlinkBatch& batch, unsigned interface, const IpAddress& address, uint8_t prefix) {
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, NetlinkBatch::Tolerate::already_there);
  ifaddrmsg header{};
  header.ifa_family = static_cast<uint8_t>(address.family);
  header.ifa_prefixlen = prefix;
  header.ifa_flags = address.family == AF_INET6 ? IFA_F_NODAD : 0;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = interface;
  batch.header(&header, sizeof header);
  batch.attribute(IFA_LOCAL, address.bytes.data(), address.length());
  batch.attribute(IFA_ADDRESS, address.bytes.data(), address.length());
}

}  // namespace godwit::sys
