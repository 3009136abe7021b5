#include "cli/packet_view.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include "cli/json_writer.h"
#include "cli/table.h"

namespace godwit::cli {

namespace {

using api::TracedPacket;

const char* word_of(TracedPacket::Passage passage) {
  switch (passage) {
    case TracedPacket::SENT: return "sent";
    case TracedPacket::LEFT: return "left";
    case TracedPacket::ARRIVED: return "arrived";
    case TracedPacket::WAITED: return "waited";
    case TracedPacket::DELIVERED: return "delivered";
    default: return "other";
  }
}

std::string protocol_name(uint32_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_UDPLITE: return "udplite";
    case IPPROTO_ICMP: return "icmp";
    case IPPROTO_ICMPV6: return "icmp6";
    default: return fmt::format("protocol {}", protocol);
  }
}

std::string flag_names(uint32_t flags) {
  static const std::pair<uint32_t, const char*> kNames[] = {{2, "syn"},  {1, "fin"},  {4, "rst"},
                                                            {8, "push"}, {16, "ack"}, {32, "urgent"}};
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if ((flags & bit) != 0) text += (text.empty() ? "" : "+") + std::string(name);
  }
  return text;
}

std::string end_of(const std::string& address, uint32_t port) {
  if (port == 0) return address;
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port)
                                                : fmt::format("[{}]:{}", address, port);
}

std::string time_of(int64_t unix_ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  return fmt::format("{:%H:%M:%S}.{:06}", fmt::localtime(static_cast<time_t>(unix_ns / kSecond)),
                     unix_ns % kSecond / 1000);
}

}  // namespace

std::string PacketView::title() { return fmt::format("{:<15}  {:<8}  {:<9}  {}\n", "TIME", "NODE", "WHAT", "PACKET"); }

uint32_t PacketView::counted(const Stream& stream, uint32_t number) {
  return number - first_.try_emplace(stream, number).first->second;
}

std::string PacketView::line(const TracedPacket& packet) {
  if (packet.missed() > 0) {
    return fmt::format("{:<15}  {:<8}  {} packets came too fast to be seen; --port narrows it down\n", "",
                       printable(packet.node()), packet.missed());
  }
  std::string what = fmt::format("{} > {}  {}", end_of(packet.from(), packet.from_port()),
                                 end_of(packet.to(), packet.to_port()), protocol_name(packet.protocol()));
  if (packet.protocol() == IPPROTO_TCP) {
    Stream there{packet.from(), packet.from_port(), packet.to(), packet.to_port()};
    Stream back{packet.to(), packet.to_port(), packet.from(), packet.from_port()};
    what += fmt::format(" {} at {}", flag_names(packet.tcp_flags()), counted(there, packet.sequence()));
    if ((packet.tcp_flags() & 16) != 0) what += fmt::format(", has {}", counted(back, packet.acknowledged()));
  }
  if (packet.content_bytes() > 0) what += fmt::format(", {} bytes", packet.content_bytes());
  std::string passage = word_of(packet.passage());
  if (packet.passage() == TracedPacket::OTHER) passage = packet.interface();
  return printable(fmt::format("{}  {:<8}  {:<9}  {}", time_of(packet.unix_ns()), packet.node(), passage, what)) + "\n";
}

std::string packet_json(const TracedPacket& packet) {
  JsonWriter json;
  json.object().field("unix_ns", packet.unix_ns()).field("node", packet.node());
  if (packet.missed() > 0) return json.field("missed", packet.missed()).close().text() + "\n";
  json.field("passage", word_of(packet.passage()))
      .field("interface", packet.interface())
      .field("protocol", protocol_name(packet.protocol()))
      .field("from", packet.from())
      .field("from_port", packet.from_port())
      .field("to", packet.to())
      .field("to_port", packet.to_port());
  if (packet.protocol() == IPPROTO_TCP) {
    json.field("tcp_flags", flag_names(packet.tcp_flags()))
        .field("sequence", packet.sequence())
        .field("acknowledged", packet.acknowledged());
  }
  return json.field("content_bytes", packet.content_bytes()).close().text() + "\n";
}

}  // namespace godwit::cli
