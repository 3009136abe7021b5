#include "forwarding/packet_trace.h"

#include <array>

#include "forwarding/job_link.h"
#include "sys/interface.h"

namespace godwit::forwarding {

std::optional<Passage> passage_of(const std::string& interface, bool outgoing, const std::string& uplink) {
  if (interface == kWaitingRoomIn) return std::nullopt;  // it comes out at the other end at once
  if (interface == kWaitingRoomOut) return outgoing ? std::nullopt : std::optional(Passage::waited);
  if (interface == uplink || interface == kTunnel) return outgoing ? Passage::left : Passage::arrived;
  if (is_job_link(interface)) return outgoing ? Passage::delivered : Passage::sent;
  return Passage::other;
}

Result<PacketTrace> PacketTrace::open(const NodePlace& here, VirtualAddress address) {
  const std::array addresses = {address.version4(), address.version6()};
  return PacketTrace(here.uplink, TRY(sys::PacketSocket::open(addresses)));
}

const std::string& PacketTrace::name_of(unsigned interface) {
  std::string& name = names_[interface];
  std::string now = sys::interface_name(interface);
  if (!now.empty()) name = std::move(now);
  return name;
}

Result<std::optional<TracedPacket>> PacketTrace::next(std::chrono::milliseconds patience) {
  auto seen = TRY(packets_.receive(patience));
  if (!seen) return std::nullopt;
  auto headers = parse_packet(seen->head);
  const std::string& interface = name_of(seen->interface);
  auto passage = passage_of(interface, seen->outgoing, uplink_);
  if (!headers || !passage) return std::nullopt;
  return TracedPacket{seen->unix_ns, *passage, interface, *headers};
}

}  // namespace godwit::forwarding
