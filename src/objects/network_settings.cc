#include "objects/network_settings.h"

#include <libmnl/libmnl.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "objects/network_objects.h"
#include "objects/traffic_control.h"
#include "sys/namespaces.h"
#include "sys/netlink_neighbour.h"
#include "sys/network_visit.h"
#include "sys/text_file.h"

namespace godwit::objects {

namespace {

constexpr uint32_t kGroups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_TC | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
                             RTMGRP_IPV4_RULE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE | 1u << (RTNLGRP_IPV6_RULE - 1);
constexpr uint32_t kUntouchedGeneration = 1;  // of a packet filter
constexpr int kHeaderOfServices = 3;          // lines of /proc/net/ip_vs; ip_vs(7) has none, ip_vs_info_seq_show()

worker::Refusal refusal_of(const std::string& what, const std::string& code, const std::string& remedy) {
  worker::Refusal refusal;
  refusal.set_fd(-1);
  refusal.set_code(code);
  refusal.set_what(what);
  refusal.set_remedy(remedy);
  return refusal;
}

// Neighbours come and go by themselves; only what is there for good counts.
bool tells_of_change(const nlmsghdr* message, const LinksSeen& links) {
  if (message->nlmsg_type == RTM_NEWLINK) return says_other(message, links);
  bool traffic_control = message->nlmsg_type >= RTM_NEWQDISC && message->nlmsg_type <= RTM_GETTFILTER;
  if (traffic_control) return tells_of_traffic_control(message);
  bool neighbour = message->nlmsg_type == RTM_NEWNEIGH || message->nlmsg_type == RTM_DELNEIGH;
  if (!neighbour) return true;
  std::span payload(static_cast<const std::byte*>(mnl_nlmsg_get_payload(message)), mnl_nlmsg_get_payload_len(message));
  return !entry_of(NetworkKind::neighbour, payload).entry.empty() ||
         !entry_of(NetworkKind::proxy, payload).entry.empty() ||
         !entry_of(NetworkKind::bridge_entry, payload).entry.empty();
}

// Whether there is anything in a list.
Result<bool> any(sys::Netlink& netlink, uint16_t list, size_t fixed_bytes) {
  sys::NetlinkBatch question;
  question.begin(list, NLM_F_DUMP);
  std::string fixed(fixed_bytes, '\0');
  question.header(fixed.data(), fixed.size());
  bool found = false;
  TRY(netlink.run(question, [&](const nlmsghdr*) { found = true; }));
  return found;
}

// What is not looked at piece by piece but must not be lost without a word.
Result<void> refuse_others(pid_t init_host_pid, sys::Netlink& netlink, std::optional<sys::Netlink>& ipsec,
                           std::vector<worker::Refusal>& refusals) {
  if (TRY(any(netlink, RTM_GETNEXTHOP, sizeof(nhmsg)))) {
    refusals.push_back(
        refusal_of("the job's network has nexthop objects", "network.nexthop", "name the next hop in each route"));
  }
  bool secured = ipsec && (TRY(any(*ipsec, XFRM_MSG_GETSA, 0)) || TRY(any(*ipsec, XFRM_MSG_GETPOLICY, 0)));
  if (secured) {
    refusals.push_back(
        refusal_of("the job's network has IPsec states or policies", "network.ipsec", "remove them before the move"));
  }
  const std::string net = "/proc/" + std::to_string(init_host_pid) + "/net/";
  for (const char* names : {"ip_tables_names", "ip6_tables_names", "arp_tables_names"}) {
    auto tables = sys::read_text(net + names);
    if (!tables || tables->empty()) continue;
    refusals.push_back(refusal_of("the job's packet filter has tables of iptables-legacy", "network.iptables",
                                  "write its rules with nft"));
    break;
  }
  auto balanced = sys::read_text(net + "ip_vs");  // not in every kernel
  if (balanced && std::ranges::count(*balanced, '\n') > kHeaderOfServices) {
    refusals.push_back(refusal_of("the job's network balances load with IPVS", "network.ipvs",
                                  "remove its services before the move: ipvsadm --clear"));
  }
  return {};
}

}  // namespace

Result<NetworkSettings> NetworkSettings::open(pid_t init_host_pid, int init_pidfd, GivenInterface given) {
  std::optional<Sockets> sockets;
  TRY(sys::in_network_of(init_pidfd, [&]() -> Result<void> {
    sockets.emplace(TRY(sys::Netlink::open()), TRY(sys::Netlink::listen(kGroups)), TRY(PacketRules::open()));
    auto ipsec = sys::Netlink::open(NETLINK_XFRM);  // not in every kernel
    if (ipsec) sockets->ipsec = std::move(*ipsec);
    return {};
  }));
  auto watch = sys::WriteWatch::open("/proc/" + std::to_string(init_host_pid) + "/root/proc", "/sys/net/");
  if (!watch && watch.error().kind != ErrorKind::unsupported) return std::move(watch.error());
  std::optional<sys::WriteWatch> sysctls;
  if (watch) sysctls.emplace(std::move(*watch));
  SysctlLook present = TRY(SysctlLook::begin(init_pidfd));
  return NetworkSettings(init_host_pid, init_pidfd, given, std::move(*sockets), std::move(sysctls), std::move(present),
                         TRY(SysctlLook::begin({})));
}

Result<image::NetworkSettings> NetworkSettings::list(std::vector<worker::Refusal>& refusals) {
  constexpr int kLooks = 10;
  size_t others = refusals.size();
  for (int look = 1;; ++look) {
    refusals.resize(others);
    auto listed = list_once(refusals);
    if (listed || listed.error().kind != ErrorKind::retry || look == kLooks) return listed;
  }
}

Result<image::NetworkSettings> NetworkSettings::list_once(std::vector<worker::Refusal>& refusals) {
  (void)TRY(changed());  // what has been told of so far is in the lists
  stale_ = false;
  image::NetworkSettings settings;
  std::vector<image::NetworkLink> links = TRY(list_links(sockets_.netlink, given_, refusals, links_seen_));
  TRY(refuse_traffic_control(sockets_.netlink, links, refusals));
  settings.mutable_links()->Assign(links.begin(), links.end());
  for (NetworkKind kind : kNetworkKinds) {
    NetworkList list = TRY(list_network(sockets_.netlink, kind));
    image::NetworkEntries& entries = *settings.add_entries();
    for (std::string& entry : list.entries) entries.add_entry(std::move(entry));
    for (const std::string& what : list.not_moved) {
      refusals.push_back(refusal_of("the job's network has " + what, "network.expiring", "make it without an end"));
    }
  }
  generation_ = TRY(sockets_.rules.generation());
  if (generation_ != kUntouchedGeneration) {
    for (std::string& rule : TRY(sockets_.rules.list(refusals))) settings.add_packet_rules(std::move(rule));
  }
  TRY(list_sysctls(settings));
  TRY(refuse_others(init_host_pid_, sockets_.netlink, sockets_.ipsec, refusals));
  return settings;
}

// By this thread when nobody has looked ahead: in the freeze an ordinary one might wait for a processor.
Result<SysctlValues> NetworkSettings::present_sysctls() {
  if (present_) {
    auto values = present_->values();
    present_.reset();
    return values;
  }
  SysctlValues values;
  TRY(sys::in_network_of(init_pidfd_, [&]() -> Result<void> {
    values = TRY(list_network_sysctls());
    return {};
  }));
  return values;
}

Result<void> NetworkSettings::list_sysctls(image::NetworkSettings& into) {
  if (std::exchange(sysctls_stale_, false)) {
    SysctlValues present = TRY(present_sysctls());
    if (!untouched_values_) untouched_values_ = TRY(untouched_.values());
    sysctl_changes_ = changed_sysctls(present, *untouched_values_);
  }
  for (const auto& [name, value] : sysctl_changes_) {
    image::Sysctl& sysctl = *into.add_sysctls();
    sysctl.set_name(name);
    sysctl.set_value(value);
  }
  return {};
}

Result<bool> NetworkSettings::changed() {
  bool all = TRY(sockets_.listening.receive(
      [&](const nlmsghdr* message) { stale_ = stale_ || tells_of_change(message, links_seen_); }));
  stale_ = stale_ || !all;
  stale_ = stale_ || TRY(sockets_.rules.generation()) != generation_;
  if (sysctls_ && TRY(sysctls_->written())) {
    stale_ = sysctls_stale_ = true;
    present_.reset();  // it may have been read before
  }
  return stale_;
}

namespace {

// Version 6 addresses would first be looked for on the link, and not be there meanwhile.
SysctlChanges without_detection(const image::NetworkSettings& settings, GivenInterface given) {
  SysctlChanges changes;
  for (const image::NetworkLink& link : settings.links()) {
    const std::string path = "ipv6/conf/" + link.name() + "/accept_dad";
    std::error_code none;
    bool there = std::filesystem::exists("/proc/sys/net/" + path, none);
    if (there && link.index() != given.index) changes.emplace_back(path, "0\n");
  }
  return changes;
}

// Without detection the kernel takes them into use in a moment, by a thread of its own. Those on links that are down
// wait.
Result<void> await_addresses(sys::Netlink& netlink) {
  constexpr int kLooks = 100;
  constexpr std::chrono::milliseconds kPause(1);
  for (int look = 0; look < kLooks && TRY(any_tentative(netlink)); ++look) std::this_thread::sleep_for(kPause);
  return {};
}

}  // namespace

Result<void> NetworkRestore::make(const image::NetworkSettings& settings) {
  auto netlink = TRY(sys::Netlink::open());
  auto rules = TRY(PacketRules::open());
  TRY(write_network_sysctls(before_));
  const std::vector<image::NetworkLink> links(settings.links().begin(), settings.links().end());
  bool any_tun = std::ranges::any_of(links, [](const image::NetworkLink& link) { return link.kind() == "tun"; });
  if (any_tun && !of_root_) return error(ErrorKind::denied, "the job's owner may not have TUN or TAP interfaces");
  std::string told;
  for (const image::NetworkLink& link : links) told += link.SerializeAsString();
  bool others = std::exchange(links_made_, told) != told;
  if (others) tun_ends_ = TRY(make_links(netlink, given_, links));
  SysctlChanges sysctls;
  for (const image::Sysctl& sysctl : settings.sysctls()) sysctls.emplace_back(sysctl.name(), sysctl.value());
  before_ = TRY(write_network_sysctls(sysctls));
  SysctlChanges detection = TRY(write_network_sysctls(without_detection(settings, given_)));
  if (settings.entries_size() != std::ssize(kNetworkKinds)) {
    return error(ErrorKind::corrupt, "the lists of the job's network are not all there");
  }
  for (size_t i = 0; i < kNetworkKinds.size(); ++i) {
    const auto& list = settings.entries(static_cast<int>(i)).entry();
    TRY(make_equal(netlink, kNetworkKinds[i], std::vector<std::string>(list.begin(), list.end())));
    if (kNetworkKinds[i] == NetworkKind::address) TRY(await_addresses(netlink));
  }
  if (others) TRY(let_links_make_addresses(netlink, given_, links));
  TRY(write_network_sysctls(detection));
  return rules.replace({settings.packet_rules().begin(), settings.packet_rules().end()});
}

}  // namespace godwit::objects
