#include "sys/netlink_rule.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

namespace godwit::sys {

namespace {

constexpr uint32_t kPriority = 100, kTablePriority = 95, kPublishedPriority = 90;

void put(NetlinkBatch& batch, const IpAddress& to, const std::string& interface) {
  fib_rule_hdr header{};
  header.family = static_cast<uint8_t>(to.family);
  header.dst_len = to.bits();
  header.action = FR_ACT_BLACKHOLE;
  batch.header(&header, sizeof header);
  batch.attribute(FRA_DST, to.bytes.data(), to.length());
  batch.attribute_u32(FRA_PRIORITY, kPriority);
  batch.attribute_text(FRA_IIFNAME, interface.c_str());
}

void put_table_rule(NetlinkBatch& batch, const IpAddress& from, uint8_t prefix, uint32_t table) {
  fib_rule_hdr header{};
  header.family = static_cast<uint8_t>(from.family);
  header.src_len = prefix;
  header.action = FR_ACT_TO_TBL;
  batch.header(&header, sizeof header);
  batch.attribute(FRA_SRC, from.bytes.data(), from.length());
  batch.attribute_u32(FRA_PRIORITY, kTablePriority);
  batch.attribute_u32(FRA_TABLE, table);
}

}  // namespace

void add_drop_rule(NetlinkBatch& batch, const IpAddress& to, const std::string& interface) {
  batch.begin(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, NetlinkBatch::Tolerate::already_there);
  put(batch, to, interface);
}

void remove_drop_rule(NetlinkBatch& batch, const IpAddress& to, const std::string& interface) {
  batch.begin(RTM_DELRULE, 0, NetlinkBatch::Tolerate::not_there);
  put(batch, to, interface);
}

void add_published_rule(NetlinkBatch& batch, int family) {
  batch.begin(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, NetlinkBatch::Tolerate::already_there);
  fib_rule_hdr header{};
  header.family = static_cast<uint8_t>(family);
  header.action = FR_ACT_TO_TBL;
  header.table = RT_TABLE_MAIN;
  batch.header(&header, sizeof header);
  batch.attribute_u32(FRA_PRIORITY, kPublishedPriority);
  batch.attribute_u32(FRA_FWMARK, kPublishedMark);
}

void add_table_rule(NetlinkBatch& batch, const IpAddress& from, uint8_t prefix, uint32_t table) {
  batch.begin(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, NetlinkBatch::Tolerate::already_there);
  put_table_rule(batch, from, prefix, table);
}

void remove_table_rule(NetlinkBatch& batch, const IpAddress& from, uint8_t prefix, uint32_t table) {
  batch.begin(RTM_DELRULE, 0, NetlinkBatch::Tolerate::not_there);
  put_table_rule(batch, from, prefix, table);
}

}  // namespace godwit::sys
