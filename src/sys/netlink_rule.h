// Rules that come before routes. Source: rtnetlink(7), ip-rule(8).
#pragma once

#include <string>

#include "sys/ip_address.h"
#include "sys/netlink.h"

namespace godwit::sys {

// Packets to `to` that come in through `interface` are dropped without a word.
void add_drop_rule(NetlinkBatch& batch, const IpAddress& to, const std::string& interface);
void remove_drop_rule(NetlinkBatch& batch, const IpAddress& to, const std::string& interface);

// Packets with this mark came to a published port of this node: the rules above are not for them.
inline constexpr uint32_t kPublishedMark = 0x67770001;
void add_published_rule(NetlinkBatch& batch, int family);

// Packets from these addresses look into `table` first.
void add_table_rule(NetlinkBatch& batch, const IpAddress& from, uint8_t prefix, uint32_t table);
void remove_table_rule(NetlinkBatch& batch, const IpAddress& from, uint8_t prefix, uint32_t table);

}  // namespace godwit::sys
