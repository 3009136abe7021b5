#include "forwarding/published_ports.h"

#include <fmt/format.h>

#include "sys/netlink.h"
#include "sys/netlink_rule.h"
#include "sys/text_file.h"

namespace godwit::forwarding {

namespace {

// Commands that can be given again and again: what is there is made again or filled anew in one step, and the table's
// hooks stay in place for the connections there are.
class Table {
 public:
  Table() : text_("add table inet godwit_published\n") {}
  void map(const std::string& name, const std::string& address_type, const std::string& elements) {
    text_ += fmt::format("add map inet godwit_published {} {{ type inet_service : {} . inet_service; }}\n", name,
                         address_type);
    text_ += fmt::format("flush map inet godwit_published {}\n", name);
    if (!elements.empty()) text_ += fmt::format("add element inet godwit_published {} {{ {} }}\n", name, elements);
  }
  void chain(const std::string& name, const std::string& hook, const std::vector<std::string>& rules) {
    text_ += fmt::format("add chain inet godwit_published {} {{ type {}; }}\nflush chain inet godwit_published {}\n",
                         name, hook, name);
    for (const std::string& rule : rules) text_ += fmt::format("add rule inet godwit_published {} {}\n", name, rule);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string elements(const std::vector<PublishedPort>& ports, bool udp, bool version6) {
  std::string text;
  for (const PublishedPort& port : ports) {
    if (port.udp != udp) continue;
    std::string address = sys::to_string(version6 ? port.address.version6() : port.address.version4());
    text += fmt::format("{}{} : {} . {}", text.empty() ? "" : ", ", port.node_port, address, port.job_port);
  }
  return text;
}

struct Version {
  bool six;
  std::string ip, type, range;
};

}  // namespace

// Packets that a node sends on to itself or another (out of the waiting room, say) have been translated already: only
// what comes with the node's own address as its destination is tracked. Messages to logical hosts that nobody published
// are not touched at all.
std::string published_rules(const NodePlace& here, uint32_t node, const std::vector<PublishedPort>& ports) {
  if (ports.empty()) return "add table inet godwit_published\ndelete table inet godwit_published\n";
  Table table;
  std::vector<std::string> untracked, arriving, own, marked, leaving, lost;
  for (const Version& version :
       {Version{false, "ip", "ipv4_addr", "100.64.0.0/10"}, Version{true, "ip6", "ipv6_addr", "fd67:6f64:7769::/48"}}) {
    if (version.six && !here.version6) continue;
    const std::string to_job = version.ip + " daddr " + version.range, translated = to_job + " ct status dnat";
    untracked.push_back(to_job + " notrack");
    for (bool udp : {false, true}) {
      std::string transport = udp ? "udp" : "tcp", map = transport + (version.six ? "6" : "4");
      table.map(map, version.type, elements(ports, udp, version.six));
      std::string rule = fmt::format("fib daddr type local dnat {} to {} dport map @{}", version.ip, transport, map);
      arriving.push_back(rule);
      own.push_back((version.six ? "ip6 daddr != ::1 " : "ip daddr != 127.0.0.0/8 ") + rule);
    }
    marked.push_back(fmt::format("{} ct direction original meta mark set {}", translated, sys::kPublishedMark));
    bool known = version.six ? node != 0 && !here.uplink.empty() : here.source4.has_value();
    std::string source = !known ? "" : sys::to_string(version.six ? node_address6(node) : *here.source4);
    if (known) leaving.push_back(fmt::format("{} snat {} to {}", translated, version.ip, source));
    lost.push_back(fmt::format("{} saddr {} ct state invalid drop", version.ip, version.range));
  }
  table.chain("untracked", "filter hook prerouting priority -300", untracked);
  table.chain("arriving", "nat hook prerouting priority -100", arriving);
  table.chain("own", "nat hook output priority -100", own);
  table.chain("marked", "filter hook prerouting priority -90", marked);
  table.chain("leaving", "nat hook postrouting priority 100", leaving);
  table.chain("lost", "filter hook input priority 0", lost);
  return table.text();
}

Result<PublishedPorts> PublishedPorts::open(const NodePlace& here, uint32_t node) {
  return PublishedPorts(TRY(sys::Nftables::open()), here, node);
}

Result<void> PublishedPorts::set(const std::vector<PublishedPort>& ports) {
  std::string rules = published_rules(here_, node_, ports);
  if (rules == present_) return {};
  TRY(nftables_.run(rules).within("publishing ports"));
  present_ = std::move(rules);
  if (ports.empty()) return {};
  // A connection that moves asks where the other side stands with a packet from before its window, and its window may
  // be announced anew: tracking must not take that for a fault. There is tracking only while there is such a table.
  TRY(sys::write_text("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "1"));
  auto netlink = TRY(sys::Netlink::open());
  NetlinkBatch batch;
  for (int family : {AF_INET, AF_INET6}) {
    if (family == AF_INET || here_.version6) sys::add_published_rule(batch, family);
  }
  return netlink.run(batch).within("publishing ports");
}

}  // namespace godwit::forwarding
