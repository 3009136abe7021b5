#include "forwarding/message_counters.h"

#include <charconv>
#include <string_view>

#include "sys/netlink_rule.h"

namespace godwit::forwarding {

namespace {

struct Kind {
  std::string_view set;
  uint64_t MessageCounts::* count;
};
constexpr Kind kKinds[] = {{"waited", &MessageCounts::waited}, {"entered", &MessageCounts::entered},
                           {"passed", &MessageCounts::passed}, {"dropped", &MessageCounts::dropped},
                           {"sent", &MessageCounts::sent},     {"answered", &MessageCounts::answered}};

// One set of each kind and version, one rule each. Rules are looked at in order by every packet, so few come first.
// Sets have no size, so that they grow with what is in them (to 65,535): whoever lists one walks through all of its
// hash table in the kernel, and on a kernel that is not preempted (CONFIG_PREEMPT_NONE) nothing else runs there
// meanwhile.
std::string table_text(const NodePlace& here) {
  std::string text = "add table inet godwit\ndelete table inet godwit\ntable inet godwit {\n";
  const std::string ways =
      "{ \"" + (here.uplink.empty() ? "lo" : here.uplink) + "\", \"" + std::string(kTunnel) + "\" }";
  const std::string no_job = "{ \"" + std::string(kWaitingRoomIn) + "\", \"" + std::string(kTunnel) + "\" }";
  std::string out, pass, in;
  for (bool version6 : {false, true}) {
    std::string ip = version6 ? "ip6" : "ip", tail = version6 ? "6" : "";
    std::string range = version6 ? "fd67:6f64:7769::/48" : "100.64.0.0/10";
    for (const Kind& kind : kKinds) {
      text += "set " + std::string(kind.set) + tail + " { typeof " + ip + " daddr; flags dynamic; }\n";
    }
    text += "set dropping" + tail + " { typeof " + ip + " daddr; }\n";
    auto count = [&](const std::string& set, const char* end) {
      return " update @" + set + tail + " { " + ip + " " + end + " counter }\n";
    };
    std::string to = ip + " daddr " + range, from = ip + " saddr " + range;
    out += "oifname \"" + std::string(kWaitingRoomIn) + "\" " + to + count("waited", "daddr");
    out += "oifname \"gw*\" oifname != " + no_job + " " + to + count("entered", "daddr");
    out += "oifname " + ways + " " + to + count("sent", "daddr");
    pass += "iifname " + ways + " oifname " + ways + " " + to + count("passed", "daddr");
    in += "iifname " + ways + " " + from + count("answered", "saddr");
    in += "iifname " + ways + " meta mark != " + std::to_string(sys::kPublishedMark) + " " + ip + " daddr @dropping" +
          tail + count("dropped", "daddr");
  }
  text += "chain out { type filter hook postrouting priority 300;\n" + out + "}\n";
  text += "chain pass { type filter hook forward priority 300;\n" + pass + "}\n";
  text += "chain in { type filter hook prerouting priority 300;\n" + in + "}\n}\n";
  return text;
}

// The next word of `text`, which loses it.
std::string_view next_word(std::string_view& text) {
  size_t begin = text.find_first_not_of(" \t\n,={}");
  if (begin == std::string_view::npos) return text = {};
  size_t end = std::min(text.find_first_of(" \t\n,={}", begin), text.size());
  std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

uint64_t MessageCounts::* count_of(std::string_view set) {
  if (set.ends_with('6')) set.remove_suffix(1);
  for (const Kind& kind : kKinds) {
    if (kind.set == set) return kind.count;
  }
  return nullptr;
}

}  // namespace

std::map<uint32_t, MessageCounts> parse_message_counters(const std::string& listing) {
  std::map<uint32_t, MessageCounts> counts;
  std::string_view text = listing;
  uint64_t MessageCounts::* now = nullptr;
  VirtualAddress address;
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    if (word == "set") {
      now = count_of(next_word(text));
      address = {};
    } else if (word == "chain") {
      break;
    } else if (word == "packets" && address.valid() && now != nullptr) {
      uint64_t packets = 0;
      std::string_view number = next_word(text);
      auto [rest, failed] = std::from_chars(number.data(), number.data() + number.size(), packets);
      if (failed == std::errc() && rest != number.data()) counts[address.code].*now += packets;
    } else if (auto ip = sys::parse_ip_address(std::string(word))) {
      address = VirtualAddress::from(*ip).value_or(VirtualAddress());
    }
  }
  return counts;
}

Result<MessageCounters> MessageCounters::open(const NodePlace& here) {
  MessageCounters counters(TRY(sys::Nftables::open()));
  TRY(counters.nftables_.run(table_text(here)));
  return counters;
}

Result<std::map<uint32_t, MessageCounts>> MessageCounters::read() {
  return parse_message_counters(TRY(nftables_.run("list table inet godwit")));
}

Result<void> MessageCounters::count_dropped(VirtualAddress address, bool dropped) {
  // Deleting what is not there is an error: added first.
  auto commands = [&](const std::string& set, const std::string& element) {
    std::string text = "add element inet godwit " + set + " { " + element + " }\n";
    if (!dropped) text += "delete element inet godwit " + set + " { " + element + " }\n";
    return text;
  };
  TRY(nftables_.run(commands("dropping", sys::to_string(address.version4())) +
                    commands("dropping6", sys::to_string(address.version6()))));
  return {};
}

}  // namespace godwit::forwarding
