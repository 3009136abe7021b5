#include "forwarding/tunnel.h"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>

#include "sys/interface.h"
#include "sys/netlink_rule.h"
#include "sys/netlink_tunnel.h"
#include "sys/text_file.h"

namespace godwit::forwarding {

namespace {

constexpr uint32_t kAnswersTable = 7708;  // of routes, for packets from logical hosts
constexpr uint32_t kLeastMtu = 1280;      // of IP version 6
constexpr std::string_view kNoTable = "add table inet godwit_tunnel\ndelete table inet godwit_tunnel\n";

// A link on which a node's address and a logical host's behind it are reached alike. On others (WireGuard, a cable
// between two) the other side takes only what is for its own address, or there is nobody to ask for it.
bool is_shared_link(unsigned interface) {
  auto flags = sys::interface_flags(sys::interface_name(interface));
  return flags && (*flags & (IFF_NOARP | IFF_POINTOPOINT | IFF_LOOPBACK)) == 0;
}

void add_answer_rules(NetlinkBatch& batch, const NodePlace& here, bool wanted) {
  auto change = wanted ? sys::add_table_rule : sys::remove_table_rule;
  change(batch, every_address4(), kEveryPrefix4, kAnswersTable);
  if (here.version6) change(batch, every_address6(), kEveryPrefix6, kAnswersTable);
}

// Routes to the node itself: its address for the answers of logical hosts here, and its own of version 6.
void change_node(NetlinkBatch& batch, const NodePlace& here, const NextHop& node, bool wanted) {
  auto change = wanted ? sys::set_route : sys::remove_route;
  sys::Route answers{.to = node.version4, .prefix = node.version4.bits(), .interface = here.tunnel};
  answers.tunnel_end = node.version4;
  answers.table = kAnswersTable;
  change(batch, answers);
  if (!here.version6 || node.node == 0) return;
  sys::IpAddress own6 = node_address6(node.node);
  change(batch, {.to = own6, .prefix = own6.bits(), .interface = here.tunnel, .tunnel_end = node.version4});
}

std::string senders(const std::vector<NextHop>& nodes) {
  std::string text = "flush set inet godwit_tunnel nodes\n";
  for (const NextHop& node : nodes) {
    text += fmt::format("add element inet godwit_tunnel nodes {{ {} }}\n", sys::to_string(node.version4));
  }
  return text;
}

Result<void> remove(sys::Netlink& netlink, const NodePlace& here) {
  NetlinkBatch batch;
  sys::remove_link(batch, kTunnel);
  add_answer_rules(batch, here, false);
  return netlink.run(batch).within("the tunnel");
}

Result<void> make(sys::Netlink& netlink, NodePlace& here, uint16_t port) {
  auto present = sys::tunnel_port(netlink, kTunnel);
  if (present && *present != port) TRY(remove(netlink, here));
  NetlinkBatch made;
  sys::add_tunnel(made, kTunnel, port);
  TRY(netlink.run(made).within("the tunnel"));
  here.tunnel = sys::interface_index(kTunnel);
  // What programs of this node sent may come back from a node that a logical host has just left for here.
  const std::string rules = std::string("/proc/sys/net/ipv4/conf/") + kTunnel;
  TRY(sys::write_text(rules + "/accept_local", "1"));
  TRY(sys::write_text(rules + "/rp_filter", "0"));
  NetlinkBatch on;
  sys::switch_on(on, here.tunnel, sys::Resolution::none);
  return netlink.run(on).within("the tunnel");
}

}  // namespace

Result<TunnelUse> parse_tunnel_use(std::string_view text) {
  if (text == "never") return TunnelUse::never;
  if (text == "auto") return TunnelUse::automatic;
  if (text == "always") return TunnelUse::always;
  return error(ErrorKind::corrupt, "tunnel is auto, always or never, not '" + std::string(text) + "'");
}

// From whom wrapped packets are taken; and of what was in them only messages to logical hosts, and their answers to
// programs of this node. New connections learn at once how large their segments can be. Given again, the senders stay:
// a daemon that is started anew does not know them yet.
std::string tunnel_rules(uint16_t port) {
  std::string text = "add table inet godwit_tunnel\nadd set inet godwit_tunnel nodes { type ipv4_addr; }\n";
  auto chain = [&](std::string_view name, std::string_view hook, const std::vector<std::string>& rules) {
    text += fmt::format(
        "add chain inet godwit_tunnel {0} {{ type filter hook {1}; }}\nflush chain inet godwit_tunnel {0}\n", name,
        hook);
    for (const std::string& rule : rules) text += fmt::format("add rule inet godwit_tunnel {} {}\n", name, rule);
  };
  chain("wrapped", "input priority -300",
        {fmt::format("udp dport {} ip saddr != @nodes drop", port),
         fmt::format("udp dport {} meta nfproto ipv6 drop", port)});
  chain("unwrapped", "prerouting priority -310",
        {fmt::format("iifname != \"{}\" accept", kTunnel), "ip daddr 100.64.0.0/10 accept",
         "ip saddr 100.64.0.0/10 fib daddr type local accept", "ip6 daddr fd67:6f64:7769::/48 accept", "drop"});
  chain("segments", "forward priority -150",
        {fmt::format("oifname \"{}\" tcp flags syn tcp option maxseg size set rt mtu", kTunnel)});
  return text;
}

Result<Tunnel> Tunnel::open(sys::Netlink& netlink, NodePlace& here, TunnelSettings settings) {
  here.tunnel = 0;
  auto nftables = TRY(sys::Nftables::open());
  if (settings.use == TunnelUse::never || here.uplink.empty()) {
    TRY(remove(netlink, here));
    (void)nftables.run(std::string(kNoTable));  // a kernel without nftables has none
    return Tunnel(std::move(nftables), here, TunnelUse::never);
  }
  TRY(nftables.run(tunnel_rules(settings.port)));  // first: until then everybody's packets would be taken
  auto made = make(netlink, here, settings.port);
  if (!made) {
    here.tunnel = 0;
    (void)remove(netlink, here);
    (void)nftables.run(std::string(kNoTable));
    return std::move(made.error());
  }
  Tunnel tunnel(std::move(nftables), here, settings.use);
  TRY(tunnel.fit_packets(netlink));
  return tunnel;
}

// As large as the link's, headers included; the kernel tells senders whose packets are larger.
Result<void> Tunnel::fit_packets(sys::Netlink& netlink) {
  uint32_t fits = TRY(sys::interface_mtu(here_.uplink));
  fits = std::max(kLeastMtu, fits - std::min(fits, sys::kTunnelHeaders));
  if (fits == mtu_) return {};
  NetlinkBatch batch;
  sys::set_mtu(batch, here_.tunnel, fits);
  TRY(netlink.run(batch).within("the tunnel"));
  mtu_ = fits;
  return {};
}

bool Tunnel::leads_to(sys::Netlink& netlink, const sys::IpAddress& node) const {
  if (use_ != TunnelUse::automatic) return use_ == TunnelUse::always;
  auto path = sys::path_to(netlink, node);
  if (!path) return true;  // no way now; the tunnel takes any that comes up
  return !path->here && (path->by_gateway || !is_shared_link(path->interface));
}

uint32_t Tunnel::largest_packet() const { return std::ranges::any_of(nodes_, &NextHop::tunnelled) ? mtu_ : 0; }

Result<void> Tunnel::set_nodes(sys::Netlink& netlink, std::vector<NextHop> nodes) {
  if (here_.tunnel == 0) return {};
  TRY(fit_packets(netlink));
  for (NextHop& node : nodes) node.tunnelled = leads_to(netlink, node.version4);
  std::ranges::sort(nodes, {}, &NextHop::node);
  if (nodes == nodes_) return {};
  TRY(nftables_.run(senders(nodes)));
  NetlinkBatch batch;
  add_answer_rules(batch, here_, std::ranges::any_of(nodes, &NextHop::tunnelled));
  for (const NextHop& node : nodes_) {
    if (std::ranges::find(nodes, node) == nodes.end()) change_node(batch, here_, node, false);
  }
  for (const NextHop& node : nodes) change_node(batch, here_, node, node.tunnelled);
  TRY(netlink.run(batch).within("the tunnel"));
  nodes_ = std::move(nodes);
  return {};
}

}  // namespace godwit::forwarding
