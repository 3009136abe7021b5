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

// Addresses can be used at once: nobody else on the link can have them. Otherwise a node is not reached by IPv6 in its
// first two seconds.
Result<void> trust_addresses(pid_t process) {
  auto net = TRY(sys::open_namespace(process, "net"));
  auto trust = [&]() -> Result<std::string> {
    TRY(sys::join_namespaces(net.get(), CLONE_NEWNET));
    const std::filesystem::path detection = "/proc/sys/net/ipv6/conf/eth0/accept_dad";
    if (std::filesystem::exists(detection)) TRY(sys::write_text(detection, "0"));
    return std::string();
  };
  TRY(run_in_child(trust));
  return {};
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
  std::string links =
      "link set lo up\n"
      "link add name bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"
      "link set bridge up\n";
  std::string shaping;
  for (size_t i = 0; i < nodes.size(); ++i) {
    std::string port = node_name(static_cast<uint32_t>(i + 1));
    links += "link add name " + port + " type veth peer name eth0 netns " + std::to_string(nodes[i]) + "\n";
    links += "link set " + port + " master bridge up\n";
    if (rate != 0) shaping += shaping_of(port, rate);
  }
  TRY(run_batch("ip", bridge, links).within("the bridge"));
  if (rate != 0) TRY(run_batch("tc", bridge, shaping).within("the bridge"));
  for (size_t i = 0; i < nodes.size(); ++i) {
    auto node = static_cast<uint32_t>(i + 1);
    TRY(trust_addresses(nodes[i]).within(node_name(node)));
    TRY(run_batch("ip", nodes[i],
                  "link set lo up\naddress add " + node_address(record, node) + "/24 dev eth0\nlink set eth0 up\n")
            .within(node_name(node)));
    if (rate != 0) TRY(run_batch("tc", nodes[i], shaping_of("eth0", rate)).within(node_name(node)));
  }
  return {};
}

}  // namespace godwit::lab
