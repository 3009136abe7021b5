#include "objects/network_links.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/if_vlan.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <set>

#include "sys/netlink_attributes.h"
#include "sys/netlink_link.h"
#include "sys/tun.h"

namespace godwit::objects {

namespace {

using sys::NetlinkBatch;

constexpr uint32_t kLoopback = 1;
constexpr uint32_t kFlags = IFF_UP | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST;
constexpr size_t kMostLinks = 4096;

// What an interface of a kind, and a port of a bridge, is set up with; the rest tells of its state.
constexpr std::array<uint16_t, 19> kBridge{
    IFLA_BR_FORWARD_DELAY,         IFLA_BR_HELLO_TIME,         IFLA_BR_MAX_AGE,
    IFLA_BR_AGEING_TIME,           IFLA_BR_STP_STATE,          IFLA_BR_PRIORITY,
    IFLA_BR_VLAN_PROTOCOL,         IFLA_BR_GROUP_FWD_MASK,     IFLA_BR_MCAST_ROUTER,
    IFLA_BR_MCAST_SNOOPING,        IFLA_BR_MCAST_QUERIER,      IFLA_BR_MCAST_HASH_MAX,
    IFLA_BR_NF_CALL_IPTABLES,      IFLA_BR_NF_CALL_IP6TABLES,  IFLA_BR_NF_CALL_ARPTABLES,
    IFLA_BR_VLAN_DEFAULT_PVID,     IFLA_BR_MCAST_IGMP_VERSION, IFLA_BR_MCAST_MLD_VERSION,
    IFLA_BR_MCAST_QUERY_USE_IFADDR};
constexpr std::array<uint16_t, 4> kVlan{IFLA_VLAN_ID, IFLA_VLAN_EGRESS_QOS, IFLA_VLAN_INGRESS_QOS, IFLA_VLAN_PROTOCOL};
constexpr uint16_t kMacvlanBroadcastCutoff = 9;  // IFLA_MACVLAN_BC_CUTOFF, Linux 6.4 include/uapi/linux/if_link.h
constexpr std::array<uint16_t, 4> kMacvlan{IFLA_MACVLAN_MODE, IFLA_MACVLAN_FLAGS, IFLA_MACVLAN_BC_QUEUE_LEN,
                                           kMacvlanBroadcastCutoff};
constexpr std::array<uint16_t, 4> kTun{IFLA_TUN_OWNER, IFLA_TUN_GROUP, IFLA_TUN_TYPE, IFLA_TUN_PI};
constexpr std::array<uint16_t, 14> kBridgePort{
    IFLA_BRPORT_PRIORITY,       IFLA_BRPORT_COST,          IFLA_BRPORT_MODE,        IFLA_BRPORT_GUARD,
    IFLA_BRPORT_PROTECT,        IFLA_BRPORT_FAST_LEAVE,    IFLA_BRPORT_LEARNING,    IFLA_BRPORT_UNICAST_FLOOD,
    IFLA_BRPORT_PROXYARP,       IFLA_BRPORT_PROXYARP_WIFI, IFLA_BRPORT_MCAST_FLOOD, IFLA_BRPORT_BCAST_FLOOD,
    IFLA_BRPORT_NEIGH_SUPPRESS, IFLA_BRPORT_ISOLATED};

std::span<const uint16_t> settings_of(const std::string& kind) {
  if (kind == "bridge") return kBridge;
  if (kind == "vlan") return kVlan;
  if (kind == "macvlan") return kMacvlan;
  if (kind == "tun") return kTun;
  return {};
}

// Those that make_links() can make.
bool known_kind(const std::string& kind) {
  static const std::set<std::string> kKinds{"dummy", "bridge", "veth", "vlan", "macvlan", "tun"};
  return kKinds.contains(kind);
}

// Made by the kernel in every namespace where a module for tunnels is loaded; nothing to do with the job.
bool comes_by_itself(const image::NetworkLink& link) {
  static const std::set<std::string> kNames{"tunl0", "gre0",     "gretap0", "erspan0", "ip_vti0",
                                            "sit0",  "ip6_vti0", "ip6tnl0", "ip6gre0"};
  return kNames.contains(link.name()) && (link.flags() & IFF_UP) == 0;
}

// The attributes of those types, one after the other, as they lie in a message.
std::string only(const sys::Attributes& attributes, std::span<const uint16_t> types) {
  std::string kept;
  attributes.for_each([&](const nlattr* each) {
    if (std::ranges::find(types, mnl_attr_get_type(each)) == types.end()) return;
    kept.append(reinterpret_cast<const char*>(each), each->nla_len);
    kept.resize(MNL_ALIGN(kept.size()));
  });
  return kept;
}

void refuse(std::vector<worker::Refusal>& refusals, const std::string& code, const image::NetworkLink& link,
            const std::string& what, const std::string& remedy) {
  worker::Refusal refusal;
  refusal.set_fd(-1);
  refusal.set_code(code);
  refusal.set_what("the job's network interface " + link.name() + " " + what);
  refusal.set_remedy(remedy);
  refusals.push_back(std::move(refusal));
}

struct Told {
  image::NetworkLink link;
  bool elsewhere = false;  // its other end, or what it lies on, is in another namespace
  bool filtered = false;   // by a BPF program (XDP)
  bool named_twice = false;
  bool vlans = false;      // a bridge that knows them
  bool by_source = false;  // a macvlan with a list of senders
  bool odd_tun = false;    // a TUN or TAP with several queues or virtio headers
  bool flagged = false;    // a VLAN that is not as usual
  std::string port_of;     // what kind of interface its master is
};

Told read_link(const nlmsghdr* message) {
  const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  sys::Attributes attributes(message, sizeof(ifinfomsg));
  sys::Attributes info(attributes.find(IFLA_LINKINFO)), data(info.find(IFLA_INFO_DATA));
  Told told;
  image::NetworkLink& link = told.link;
  link.set_index(static_cast<uint32_t>(header->ifi_index));
  link.set_name(attributes.text(IFLA_IFNAME));
  link.set_kind(info.text(IFLA_INFO_KIND));
  link.set_flags(header->ifi_flags & kFlags);
  link.set_mtu(attributes.value<uint32_t>(IFLA_MTU).value_or(0));
  link.set_queue_length(attributes.value<uint32_t>(IFLA_TXQLEN).value_or(0));
  link.set_address(attributes.bytes(IFLA_ADDRESS));
  link.set_master(attributes.value<uint32_t>(IFLA_MASTER).value_or(0));
  link.set_lower(attributes.value<uint32_t>(IFLA_LINK).value_or(0));
  link.set_group(attributes.value<uint32_t>(IFLA_GROUP).value_or(0));
  link.set_alias(attributes.text(IFLA_IFALIAS));
  link.set_data(only(data, settings_of(link.kind())));
  told.port_of = info.text(IFLA_INFO_SLAVE_KIND);
  sys::Attributes version6(sys::Attributes(attributes.find(IFLA_AF_SPEC)).find(AF_INET6));
  sys::Attributes port(info.find(IFLA_INFO_SLAVE_DATA));
  if (told.port_of == "bridge") {
    link.set_port(only(port, kBridgePort));
    link.set_port_number(port.value<uint16_t>(IFLA_BRPORT_NO).value_or(0));
  }
  link.set_address_mode(version6.value<uint8_t>(IFLA_INET6_ADDR_GEN_MODE).value_or(0));
  told.elsewhere = attributes.find(IFLA_LINK_NETNSID) != nullptr;
  told.filtered = sys::Attributes(attributes.find(IFLA_XDP)).value<uint8_t>(IFLA_XDP_ATTACHED).value_or(0) != 0;
  told.named_twice = attributes.find(IFLA_PROP_LIST) != nullptr;
  constexpr uint32_t kUsual = VLAN_FLAG_REORDER_HDR;
  told.flagged = link.kind() == "vlan" && data.value<uint32_t>(IFLA_VLAN_FLAGS).value_or(kUsual) != kUsual;
  told.vlans = link.kind() == "bridge" && data.value<uint8_t>(IFLA_BR_VLAN_FILTERING).value_or(0) != 0;
  auto set = [&](uint16_t type) { return data.value<uint8_t>(type).value_or(0) != 0; };
  told.odd_tun = link.kind() == "tun" && (set(IFLA_TUN_VNET_HDR) || set(IFLA_TUN_MULTI_QUEUE));
  told.by_source =
      link.kind() == "macvlan" && data.value<uint32_t>(IFLA_MACVLAN_MODE).value_or(0) == MACVLAN_MODE_SOURCE;
  return told;
}

std::string text_of(const Told& told) {
  std::string text = told.link.SerializeAsString() + '/' + told.port_of + '/';
  for (bool each : {told.elsewhere, told.filtered, told.named_twice, told.vlans, told.by_source, told.odd_tun}) {
    text += each ? '1' : '0';
  }
  return text + (told.flagged ? '1' : '0');
}

bool is_of_link(const nlmsghdr* message) {
  return message->nlmsg_type == RTM_NEWLINK && mnl_nlmsg_get_payload_len(message) >= sizeof(ifinfomsg);
}

void judge(const Told& told, bool given, std::vector<worker::Refusal>& refusals) {
  const image::NetworkLink& link = told.link;
  if (told.filtered)
    refuse(refusals, "network.xdp", link, "has an XDP program", "detach it: ip link set dev NAME xdp off");
  if (told.named_twice) {
    refuse(refusals, "network.names", link, "has alternative names", "take them away: ip link property del");
  }
  if (given) {
    constexpr uint32_t kAsGiven = IFF_UP | IFF_NOARP;
    if ((link.flags() & kAsGiven) != kAsGiven || link.master() != 0 || link.name() != "eth0") {
      refuse(refusals, "network.given", link, "was given by godwit and is renamed, switched off or put elsewhere",
             "set it back: its name is eth0, it is up, has ARP off and no master");
    }
    return;
  }
  if (link.index() == kLoopback) return;
  if (!known_kind(link.kind())) {
    refuse(refusals, "network.interface", link, link.kind().empty() ? "is a device" : "is of kind " + link.kind(),
           "remove it before the move; dummy, bridge, veth, vlan, macvlan, tun and tap interfaces move");
  } else if (told.elsewhere) {
    refuse(refusals, "network.interface", link, "leads into another network namespace", "remove it before the move");
  }
  if (told.vlans) {
    refuse(refusals, "network.bridge", link, "filters by VLAN",
           "switch it off: ip link set NAME type bridge vlan_filtering 0");
  }
  if (told.by_source) {
    refuse(refusals, "network.interface", link, "is a macvlan for chosen senders",
           "give it another mode: ip link set NAME type macvlan mode bridge");
  }
  if (told.odd_tun) {
    refuse(refusals, "network.interface", link, "is a TUN or TAP with several queues or virtio headers",
           "remove it before the move");
  }
  if (told.flagged) {
    refuse(refusals, "network.interface", link, "has flags of VLANs (gvrp, mvrp, loose_binding, reorder_hdr off)",
           "set them back: ip link set NAME type vlan reorder_hdr on gvrp off mvrp off loose_binding off");
  }
  if (!told.port_of.empty() && told.port_of != "bridge") {
    refuse(refusals, "network.interface", link, "is part of one of kind " + told.port_of, "remove it before the move");
  }
}

// ---- making them

void begin_link(NetlinkBatch& batch, uint16_t flags, uint32_t index) {
  batch.begin(RTM_NEWLINK, flags);
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index);
  batch.header(&header, sizeof header);
}

void put_names(NetlinkBatch& batch, const image::NetworkLink& link, bool address = true) {
  batch.attribute_text(IFLA_IFNAME, link.name().c_str());
  if (address) batch.attribute(IFLA_ADDRESS, link.address().data(), link.address().size());
  batch.attribute_u32(IFLA_MTU, link.mtu());
}

// Of a pair, `other` is the end that is made along; otherwise null. A bridge with a port's address has it by itself.
Result<void> create(sys::Netlink& netlink, const image::NetworkLink& link, const image::NetworkLink* other,
                    bool address) {
  NetlinkBatch batch;
  begin_link(batch, NLM_F_CREATE | NLM_F_EXCL, link.index());
  put_names(batch, link, address);
  if (other == nullptr && link.lower() != 0) batch.attribute_u32(IFLA_LINK, link.lower());
  size_t info = batch.open(IFLA_LINKINFO);
  batch.attribute_text(IFLA_INFO_KIND, link.kind().c_str());
  size_t data = batch.open(IFLA_INFO_DATA);
  batch.raw(link.data());
  if (other != nullptr) {
    size_t peer = batch.open(VETH_INFO_PEER);
    ifinfomsg header{};
    header.ifi_index = static_cast<int>(other->index());
    batch.header(&header, sizeof header);
    put_names(batch, *other);
    batch.close(peer);
  }
  batch.close(data);
  batch.close(info);
  return netlink.run(batch);
}

// 0 addresses made up (IN6_ADDR_GEN_MODE_NONE): those there are to be are told of.
void set_address_mode(NetlinkBatch& batch, uint32_t index, uint8_t mode) {
  begin_link(batch, 0, index);
  size_t families = batch.open(IFLA_AF_SPEC);
  size_t version6 = batch.open(AF_INET6);
  batch.attribute_u8(IFLA_INET6_ADDR_GEN_MODE, mode);
  batch.close(version6);
  batch.close(families);
}

void set_up(NetlinkBatch& batch, const image::NetworkLink& link) {
  begin_link(batch, 0, link.index());
  batch.attribute_u32(IFLA_MTU, link.mtu());
  batch.attribute_u32(IFLA_TXQLEN, link.queue_length());
  batch.attribute_u32(IFLA_GROUP, link.group());
  if (!link.alias().empty()) batch.attribute(IFLA_IFALIAS, link.alias().data(), link.alias().size());
  if (link.master() != 0) batch.attribute_u32(IFLA_MASTER, link.master());
  if (link.port().empty()) return;
  begin_link(batch, 0, link.index());
  size_t info = batch.open(IFLA_LINKINFO);
  batch.attribute_text(IFLA_INFO_SLAVE_KIND, "bridge");
  size_t data = batch.open(IFLA_INFO_SLAVE_DATA);
  batch.raw(link.port());
  batch.close(data);
  batch.close(info);
}

void switch_as_told(NetlinkBatch& batch, const image::NetworkLink& link) {
  batch.begin(RTM_NEWLINK, 0);
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(link.index());
  header.ifi_flags = link.flags();
  header.ifi_change = kFlags;
  batch.header(&header, sizeof header);
}

// These are not made by netlink. They are persistent until their programs have them again (objects/tun.cc).
Result<void> create_tun(sys::Netlink& netlink, const image::NetworkLink& link, TunEnds& ends) {
  sys::Attributes data(std::as_bytes(std::span(link.data())));
  bool with_information = data.value<uint8_t>(IFLA_TUN_PI).value_or(0) != 0;
  uint32_t flags = data.value<uint8_t>(IFLA_TUN_TYPE).value_or(0) | (with_information ? 0u : uint32_t{IFF_NO_PI});
  ends[link.name()] = TRY(sys::make_tun({link.name(), flags}, link.index(), data.value<uint32_t>(IFLA_TUN_OWNER),
                                        data.value<uint32_t>(IFLA_TUN_GROUP)));
  if (link.address().empty()) return {};
  NetlinkBatch batch;
  begin_link(batch, 0, link.index());
  put_names(batch, link);
  return netlink.run(batch);
}

Result<void> check_link(const image::NetworkLink& link, GivenInterface given) {
  auto wrong = [&](const char* why) { return error(ErrorKind::corrupt, "interface " + link.name() + ": " + why); };
  constexpr size_t kMostAddress = 32, kMostAlias = 256, kMostSettings = 16 << 10;
  bool named = !link.name().empty() && link.name().size() < IFNAMSIZ && link.name().find('/') == std::string::npos;
  if (!named || link.index() == 0 || link.index() > INT32_MAX) return wrong("no name or number of one");
  if (link.index() == kLoopback || link.index() == given.index) return {};
  if (!known_kind(link.kind())) return wrong("a kind that does not move");
  if (link.address().size() > kMostAddress || link.alias().size() >= kMostAlias) return wrong("too long");
  if (link.data().size() > kMostSettings || link.port().size() > kMostSettings) return wrong("too long");
  auto fits = [](const std::string& text, std::span<const uint16_t> types) {
    return only(sys::Attributes(std::as_bytes(std::span(text))), types) == text;
  };
  if (!fits(link.data(), settings_of(link.kind())) || !fits(link.port(), kBridgePort)) return wrong("bad settings");
  return {};
}

Result<TunEnds> create_all(sys::Netlink& netlink, GivenInterface given, std::vector<const image::NetworkLink*> left) {
  const std::vector<const image::NetworkLink*> all = left;
  auto takes_address_of_port = [&](const image::NetworkLink& bridge) {
    return bridge.kind() == "bridge" && std::ranges::any_of(all, [&](auto* each) {
             return each->master() == bridge.index() && each->address() == bridge.address();
           });
  };
  auto lies_on_another = [](const std::string& kind) { return kind == "vlan" || kind == "macvlan"; };
  std::set<uint32_t> made{kLoopback, given.index};
  TunEnds ends;
  for (bool progress = true; progress && !left.empty();) {
    progress = false;
    for (const image::NetworkLink*& link : left) {
      if (link == nullptr || (lies_on_another(link->kind()) && !made.contains(link->lower()))) continue;
      const image::NetworkLink* other = nullptr;
      if (link->kind() == "veth") {
        auto found =
            std::ranges::find_if(left, [&](auto* each) { return each != nullptr && each->index() == link->lower(); });
        if (found == left.end() || (*found)->kind() != "veth" || *found == link) break;
        other = std::exchange(*found, nullptr);
      }
      Result<void> created = link->kind() == "tun" ? create_tun(netlink, *link, ends)
                                                   : create(netlink, *link, other, !takes_address_of_port(*link));
      TRY(std::move(created).within("the job's interface " + link->name()));
      made.insert(link->index());
      if (other != nullptr) made.insert(other->index());
      link = nullptr;
      progress = true;
    }
    std::erase(left, nullptr);
  }
  if (left.empty()) return ends;
  return error(ErrorKind::corrupt, "interface " + left.front()->name() + " lies on one that is not there");
}

}  // namespace

Result<std::vector<image::NetworkLink>> list_links(sys::Netlink& netlink, GivenInterface given,
                                                   std::vector<worker::Refusal>& refusals, LinksSeen& seen) {
  seen.clear();
  NetlinkBatch question;
  question.begin(RTM_GETLINK, NLM_F_DUMP);
  ifinfomsg header{};
  question.header(&header, sizeof header);
  std::vector<image::NetworkLink> links;
  TRY(netlink.run(question, [&](const nlmsghdr* message) {
    if (!is_of_link(message)) return;
    Told told = read_link(message);
    seen[told.link.index()] = text_of(told);
    if (comes_by_itself(told.link)) return;
    judge(told, told.link.index() == given.index && given.index != 0, refusals);
    links.push_back(std::move(told.link));
  }));
  return links;
}

bool says_other(const nlmsghdr* message, const LinksSeen& seen) {
  if (!is_of_link(message)) return true;
  if (static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message))->ifi_family != AF_UNSPEC) return true;
  Told told = read_link(message);
  auto before = seen.find(told.link.index());
  return before == seen.end() || before->second != text_of(told);
}

Result<TunEnds> make_links(sys::Netlink& netlink, GivenInterface given, const std::vector<image::NetworkLink>& links) {
  if (links.size() > kMostLinks) return error(ErrorKind::corrupt, "too many interfaces");
  for (const image::NetworkLink& link : links) TRY(check_link(link, given));
  auto is_ours = [&](const image::NetworkLink& link) {
    return link.index() == kLoopback || link.index() == given.index;
  };
  std::vector<worker::Refusal> ignored;
  LinksSeen seen;
  for (const image::NetworkLink& link : TRY(list_links(netlink, given, ignored, seen))) {
    NetlinkBatch gone;
    sys::remove_link(gone, link.name());
    if (!is_ours(link)) TRY(netlink.run(gone).within("interface " + link.name()));
  }
  std::vector<const image::NetworkLink*> to_make;
  for (const image::NetworkLink& link : links) {
    if (!is_ours(link)) to_make.push_back(&link);
  }
  TunEnds ends = TRY(create_all(netlink, given, to_make));
  NetlinkBatch batch;
  std::vector<image::NetworkLink> in_order = links;  // of the ports of bridges
  std::ranges::sort(in_order, {},
                    [](const image::NetworkLink& link) { return std::pair(link.port_number(), link.index()); });
  for (const image::NetworkLink& link : in_order) {
    if (!is_ours(link)) set_address_mode(batch, link.index(), IN6_ADDR_GEN_MODE_NONE);
    set_up(batch, link);
  }
  for (const image::NetworkLink& link : links) switch_as_told(batch, link);
  TRY(netlink.run(batch).within("the job's interfaces"));
  return ends;
}

Result<void> let_links_make_addresses(sys::Netlink& netlink, GivenInterface given,
                                      const std::vector<image::NetworkLink>& links) {
  NetlinkBatch batch;
  for (const image::NetworkLink& link : links) {
    bool ours = link.index() == kLoopback || link.index() == given.index;
    if (!ours) set_address_mode(batch, link.index(), static_cast<uint8_t>(link.address_mode()));
  }
  return netlink.run(batch).within("the job's interfaces");
}

}  // namespace godwit::objects
