#include "lab/network.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "lab/child_task.h"
#include "sys/namespaces.h"
#include "sys/text_file.h"

namespace godwit::lab {
namespace {

// Runs ip or tc on `commands`, one a line, in the network namespace of `process`.
Result<void> run_batch(const std::string& program, pid_t process, const std::string& commands) {
  auto net = TRY(sys::open_namespace(process, "net"));
  return run_program({program, "-batch", "-"}, commands, [&] { return sys::join_namespaces(net.get(), CLONE_NEWNET); });
}

// Runs `work` in the network namespace of `process`.
Result<void> inside(pid_t process, const std::function<Result<void>()>& work) {
  auto net = TRY(sys::open_namespace(process, "net"));
  TRY(run_in_child([&]() -> Result<std::string> {
    TRY(sys::join_namespaces(net.get(), CLONE_NEWNET));
    TRY(work());
    return std::string();
  }));
  return {};
}

// Addresses can be used at once: nobody else on the link can have them. Otherwise a node is not reached by IPv6 in its
// first two seconds.
Result<void> trust_addresses(pid_t process) {
  return inside(process, []() -> Result<void> {
    const std::filesystem::path detection = "/proc/sys/net/ipv6/conf/eth0/accept_dad";
    return std::filesystem::exists(detection) ? sys::write_text(detection, "0") : Result<void>();
  });
}

// As strict as one between sites: a sender that is not where its packet comes from is not believed.
Result<void> forward_packets(pid_t router) {
  return inside(router, []() -> Result<void> {
    const std::string rules = "/proc/sys/net/ipv4/";
    TRY(sys::write_text(rules + "ip_forward", "1"));
    for (const std::string which : {"all", "default"})
      TRY(sys::write_text(rules + "conf/" + which + "/rp_filter", "1"));
    return {};
  });
}

// For ip(8), in the namespace of the bridge or router.
std::string middle_commands(const Record& record, std::span<const pid_t> nodes) {
  std::string commands = "link set lo up\n";
  if (!record.routed) {
    commands +=
        "link add name bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"
        "link set bridge up\n";
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    auto node = static_cast<uint32_t>(i + 1);
    std::string port = node_name(node);
    commands += "link add name " + port + " type veth peer name eth0 netns " + std::to_string(nodes[i]) + "\n";
    if (record.routed) {
      commands += "address add " + router_address(record, node) + "/30 dev " + port + "\nlink set " + port + " up\n";
    } else {
      commands += "link set " + port + " master bridge up\n";
    }
  }
  return commands;
}

std::string node_commands(const Record& record, uint32_t node) {
  std::string commands = "link set lo up\naddress add " + node_address(record, node) + "/" +
                         std::to_string(subnet_bits(record)) + " dev eth0\nlink set eth0 up\n";
  if (record.routed) commands += "route add default via " + router_address(record, node) + "\n";
  return commands;
}

// A token bucket that passes a millisecond's worth at once, and at least two of the largest packets (64 KiB with
// segmentation offload), and queues what a switch would: ten milliseconds' worth.
std::string shaping_of(const std::string& device, uint64_t bits_per_second) {
  uint64_t burst_bytes = std::max<uint64_t>(bits_per_second / 8 / 1000, 128 << 10);
  return "qdisc replace dev " + device + " root tbf rate " + std::to_string(bits_per_second) + "bit burst " +
         std::to_string(burst_bytes) + " latency 10ms\n";
}

}  // namespace

Result<uint64_t> parse_link_rate(const std::string& text) {
  uint64_t number = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  uint64_t factor = unit == "gbit" ? 1'000'000'000 : unit == "mbit" ? 1'000'000 : unit == "kbit" ? 1000 : 0;
  if (code != std::errc() || factor == 0 || number == 0 || number > 1'000'000) {
    return error(ErrorKind::corrupt, "'" + text + "' is not a link rate like 1gbit, 500mbit or 64kbit");
  }
  return number * factor;
}

Result<void> connect_nodes(const Record& record, pid_t bridge, std::span<const pid_t> nodes) {
  uint64_t rate = record.link.empty() ? 0 : TRY(parse_link_rate(record.link));
  const std::string middle = record.routed ? "the router" : "the bridge";
  std::string shaping;
  for (size_t i = 0; rate != 0 && i < nodes.size(); ++i) {
    shaping += shaping_of(node_name(static_cast<uint32_t>(i + 1)), rate);
  }
  if (record.routed) TRY(forward_packets(bridge).within(middle));
  TRY(run_batch("ip", bridge, middle_commands(record, nodes)).within(middle));
  if (rate != 0) TRY(run_batch("tc", bridge, shaping).within(middle));
  for (size_t i = 0; i < nodes.size(); ++i) {
    auto node = static_cast<uint32_t>(i + 1);
    TRY(trust_addresses(nodes[i]).within(node_name(node)));
    TRY(run_batch("ip", nodes[i], node_commands(record, node)).within(node_name(node)));
    if (rate != 0) TRY(run_batch("tc", nodes[i], shaping_of("eth0", rate)).within(node_name(node)));
  }
  return {};
}

}  // namespace godwit::lab
