#include "objects/network_objects.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "sys/netlink_attributes.h"
#include "sys/netlink_route.h"

namespace godwit::objects {

namespace {

using sys::NetlinkBatch;

// What things of a kind are made of.
struct Shape {
  const char* name;
  uint16_t list, add, remove;  // message types
  size_t fixed_bytes;
  std::vector<uint16_t> attributes;
  std::vector<int> families;  // to be listed one by one
};

const Shape& shape_of(NetworkKind kind) {
  static const Shape kAddress{
      "addresses",
      RTM_GETADDR,
      RTM_NEWADDR,
      RTM_DELADDR,
      sizeof(ifaddrmsg),
      {IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_ANYCAST, IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO},
      {AF_INET, AF_INET6}};
  static const Shape kRoute{
      "routes",
      RTM_GETROUTE,
      RTM_NEWROUTE,
      RTM_DELROUTE,
      sizeof(rtmsg),
      {RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS, RTA_MULTIPATH, RTA_FLOW,
       RTA_TABLE, RTA_MARK, RTA_VIA, RTA_PREF, RTA_ENCAP_TYPE, RTA_ENCAP, RTA_TTL_PROPAGATE},
      {AF_INET, AF_INET6}};
  static const Shape kRule{"rules",
                           RTM_GETRULE,
                           RTM_NEWRULE,
                           RTM_DELRULE,
                           sizeof(fib_rule_hdr),
                           {FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_OIFNAME, FRA_GOTO, FRA_PRIORITY, FRA_FWMARK, FRA_FWMASK,
                            FRA_FLOW, FRA_TUN_ID, FRA_SUPPRESS_IFGROUP, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_L3MDEV,
                            FRA_UID_RANGE, FRA_PROTOCOL, FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE},
                           {AF_INET, AF_INET6}};
  static const std::vector<uint16_t> kOfNeighbours{NDA_DST, NDA_LLADDR, NDA_VLAN, NDA_FLAGS_EXT, NDA_PROTOCOL};
  static const Shape kNeighbour{"neighbours",  RTM_GETNEIGH,  RTM_NEWNEIGH,       RTM_DELNEIGH,
                                sizeof(ndmsg), kOfNeighbours, {AF_INET, AF_INET6}};
  static const Shape kBridgeEntry{
      "bridges' addresses", RTM_GETNEIGH,  RTM_NEWNEIGH,
      RTM_DELNEIGH,         sizeof(ndmsg), {NDA_DST, NDA_LLADDR, NDA_VLAN, NDA_FLAGS_EXT, NDA_PROTOCOL, NDA_MASTER},
      {AF_BRIDGE}};
  switch (kind) {
    case NetworkKind::address: return kAddress;
    case NetworkKind::route: return kRoute;
    case NetworkKind::rule: return kRule;
    case NetworkKind::neighbour:
    case NetworkKind::proxy: return kNeighbour;
    case NetworkKind::bridge_entry: return kBridgeEntry;
  }
  CHECK(false);
}

template <class Header>
Header* fixed_part(std::string& entry) {
  return reinterpret_cast<Header*>(entry.data());
}

// Only what a program can have wanted stays in the fixed part. Empty: it came by itself.
std::string not_moved_reason(const sys::Attributes& attributes, NetworkKind kind) {
  constexpr uint32_t kForever = ~0u;
  if (kind == NetworkKind::address) {
    auto life = attributes.value<ifa_cacheinfo>(IFA_CACHEINFO);
    if (life && (life->ifa_valid != kForever || life->ifa_prefered != kForever)) return "an address that expires";
  }
  if (kind == NetworkKind::route) {
    auto life = attributes.value<rta_cacheinfo>(RTA_CACHEINFO);
    if (life && life->rta_expires != 0) return "a route that expires";
    if (attributes.find(RTA_NH_ID) != nullptr) return "a route by a nexthop object";
  }
  return {};
}

bool made_by_hand(std::string& entry, const sys::Attributes& attributes, NetworkKind kind) {
  switch (kind) {
    case NetworkKind::address: {
      auto* address = fixed_part<ifaddrmsg>(entry);
      if ((address->ifa_flags & IFA_F_TEMPORARY) != 0 && address->ifa_family == AF_INET6) return false;
      address->ifa_flags = 0;  // they are in an attribute
      return true;
    }
    case NetworkKind::route: {
      auto* route = fixed_part<rtmsg>(entry);
      if ((route->rtm_flags & RTM_F_CLONED) != 0 || route->rtm_protocol == RTPROT_REDIRECT) return false;
      route->rtm_flags &= RTNH_F_ONLINK;
      return true;
    }
    case NetworkKind::rule: fixed_part<fib_rule_hdr>(entry)->flags &= FIB_RULE_INVERT; return true;
    default: break;
  }
  auto* neighbour = fixed_part<ndmsg>(entry);
  bool proxy = (neighbour->ndm_flags & NTF_PROXY) != 0;
  int lasting = NUD_PERMANENT;
  if (kind == NetworkKind::bridge_entry) {
    // A bridge's static entries are NOARP, and its permanent ones are its ports' own addresses, which the same ports
    // have elsewhere, and those set by hand. What interfaces listen to themselves, without a bridge, follows from their
    // other settings. An entry for the bridge itself is told of like one for a port but made like one for an interface.
    uint32_t bridge = attributes.value<uint32_t>(NDA_MASTER).value_or(0);
    if (static_cast<int>(bridge) == neighbour->ndm_ifindex) neighbour->ndm_flags |= NTF_SELF;
    lasting = bridge != 0 ? NUD_NOARP | NUD_PERMANENT : NUD_NOARP;
  }
  bool fixed = (neighbour->ndm_state & lasting) != 0;
  if (kind == NetworkKind::proxy ? !proxy : proxy || !fixed) return false;
  if (proxy) neighbour->ndm_state = NUD_PERMANENT;
  neighbour->ndm_type = 0;
  neighbour->ndm_flags &= NTF_PROXY | NTF_ROUTER | NTF_SELF | NTF_STICKY | NTF_EXT_LEARNED;
  return true;
}

// How an attribute stands in an entry: without bits that the kernel sets by itself.
void append(std::string& entry, const nlattr* attribute, NetworkKind kind) {
  constexpr uint32_t kWanted = IFA_F_NODAD | IFA_F_OPTIMISTIC | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR |
                               IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN | IFA_F_STABLE_PRIVACY;
  bool flags_of_address = kind == NetworkKind::address && mnl_attr_get_type(attribute) == IFA_FLAGS;
  if (flags_of_address && mnl_attr_get_payload_len(attribute) != sizeof(uint32_t)) return;
  size_t at = entry.size();
  entry.append(reinterpret_cast<const char*>(attribute), attribute->nla_len);
  entry.resize(MNL_ALIGN(entry.size()));
  if (!flags_of_address) return;
  uint32_t flags = mnl_attr_get_u32(attribute) & kWanted;
  std::memcpy(entry.data() + at + sizeof(nlattr), &flags, sizeof flags);
}

int family_of(const std::string& entry) { return static_cast<uint8_t>(entry.front()); }  // in all fixed parts

std::span<const std::byte> bytes_of(const std::string& entry) { return std::as_bytes(std::span(entry)); }

Result<void> change(sys::Netlink& netlink, uint16_t type, uint16_t flags, const Shape& shape,
                    const std::string& entry) {
  NetlinkBatch batch;
  batch.begin(type, flags);
  batch.header(entry.data(), shape.fixed_bytes);
  sys::Attributes attributes(bytes_of(entry).subspan(shape.fixed_bytes));
  attributes.for_each([&](const nlattr* each) {
    batch.attribute(each->nla_type, mnl_attr_get_payload(each), mnl_attr_get_payload_len(each));
  });
  return netlink.run(batch);
}

// A route that the kernel makes for an address, soon after that: it is waited for.
bool comes_by_itself(NetworkKind kind, const std::string& entry) {
  return kind == NetworkKind::route && reinterpret_cast<const rtmsg*>(entry.data())->rtm_protocol == RTPROT_KERNEL;
}

struct Difference {
  std::vector<std::string> missing, beside;
};

Result<Difference> compare(sys::Netlink& netlink, NetworkKind kind, std::span<const std::string> wanted) {
  Difference difference;
  difference.beside = TRY(list_network(netlink, kind)).entries;
  for (const std::string& entry : wanted) {
    auto found = std::ranges::find(difference.beside, entry);
    if (found == difference.beside.end()) difference.missing.push_back(entry);
    if (found != difference.beside.end()) difference.beside.erase(found);
  }
  return difference;
}

// Each as often as it goes: a route may need another, that comes later in the list.
Result<void> add_all(sys::Netlink& netlink, const Shape& shape, std::vector<std::string> missing) {
  const uint16_t how = shape.add == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_APPEND : NLM_F_CREATE;
  while (!missing.empty()) {
    std::vector<std::string> left;
    Result<void> failed;
    for (std::string& entry : missing) {
      auto added = change(netlink, shape.add, how, shape, entry);
      if (added) continue;
      if (failed) failed = std::move(added);
      left.push_back(std::move(entry));
    }
    if (left.size() == missing.size()) return std::move(failed).within(std::string("the job's ") + shape.name);
    missing = std::move(left);
  }
  return {};
}

}  // namespace

NetworkEntry entry_of(NetworkKind kind, std::span<const std::byte> payload) {
  const Shape& shape = shape_of(kind);
  if (payload.size() < shape.fixed_bytes) return {};
  NetworkEntry told;
  told.entry.assign(reinterpret_cast<const char*>(payload.data()), shape.fixed_bytes);
  bool asked = std::ranges::find(shape.families, family_of(told.entry)) != shape.families.end();
  sys::Attributes attributes(payload.subspan(shape.fixed_bytes));
  if (!asked || !made_by_hand(told.entry, attributes, kind)) return {};
  bool given = kind == NetworkKind::route && fixed_part<rtmsg>(told.entry)->rtm_protocol == sys::kGivenRoute;
  told.not_moved = not_moved_reason(attributes, kind);
  told.entry.resize(MNL_ALIGN(shape.fixed_bytes));
  attributes.for_each([&](const nlattr* each) {
    uint16_t type = mnl_attr_get_type(each);
    bool known = std::ranges::find(shape.attributes, type) != shape.attributes.end();
    if (known && !(given && type == RTA_METRICS)) append(told.entry, each, kind);  // those are each node's own
  });
  return told;
}

Result<NetworkList> list_network(sys::Netlink& netlink, NetworkKind kind) {
  const Shape& shape = shape_of(kind);
  NetworkList list;
  for (int family : shape.families) {
    NetlinkBatch question;
    question.begin(shape.list, NLM_F_DUMP);
    std::string fixed(shape.fixed_bytes, '\0');
    fixed[0] = static_cast<char>(family);
    if (kind == NetworkKind::proxy) fixed_part<ndmsg>(fixed)->ndm_flags = NTF_PROXY;
    question.header(fixed.data(), fixed.size());
    TRY(netlink.run(question, [&](const nlmsghdr* message) {
      if (message->nlmsg_type != shape.add) return;
      NetworkEntry told = entry_of(
          kind, {static_cast<const std::byte*>(mnl_nlmsg_get_payload(message)), mnl_nlmsg_get_payload_len(message)});
      if (!told.not_moved.empty()) return list.not_moved.push_back(std::move(told.not_moved));
      if (!told.entry.empty()) list.entries.push_back(std::move(told.entry));
    }));
  }
  return list;
}

Result<bool> any_tentative(sys::Netlink& netlink) {
  NetlinkBatch question;
  question.begin(RTM_GETADDR, NLM_F_DUMP);
  ifaddrmsg header{.ifa_family = AF_INET6};
  question.header(&header, sizeof header);
  bool found = false;
  TRY(netlink.run(question, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWADDR) return;
    uint32_t flags = sys::Attributes(message, sizeof(ifaddrmsg)).value<uint32_t>(IFA_FLAGS).value_or(0);
    found = found || ((flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_DADFAILED) == 0);
  }));
  return found;
}

Result<void> make_equal(sys::Netlink& netlink, NetworkKind kind, std::span<const std::string> entries) {
  const Shape& shape = shape_of(kind);
  for (const std::string& entry : entries) {
    if (entry_of(kind, bytes_of(entry)).entry != entry || entry.empty()) {
      return error(ErrorKind::corrupt, std::string("bad bytes among the job's ") + shape.name);
    }
  }
  Difference difference;
  for (int look = 0;; ++look) {
    difference = TRY(compare(netlink, kind, entries));
    constexpr int kLooks = 100;
    constexpr std::chrono::milliseconds kPause(1);
    if (look == kLooks ||
        !std::ranges::any_of(difference.missing, [&](auto& each) { return comes_by_itself(kind, each); }))
      break;
    std::this_thread::sleep_for(kPause);
  }
  for (const std::string& entry : difference.beside) {
    TRY(change(netlink, shape.remove, 0, shape, entry).within(shape.name));
  }
  return add_all(netlink, shape, std::move(difference.missing));
}

}  // namespace godwit::objects
