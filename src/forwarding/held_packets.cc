#include "forwarding/held_packets.h"

#include "forwarding/mechanism.h"

namespace godwit::forwarding {

Result<HeldPackets> HeldPackets::prepare(const worker::NetworkPlace& place, const worker::PeerAddress& destination) {
  HeldPackets held;
  VirtualAddress address{place.address()};
  if (!address.valid()) return held;
  NodePlace here = NodePlace::here(place.node_address());
  auto next = sys::parse_ip_address(destination.host());
  if (here.waiting_room == 0 || !next || next->family != AF_INET) return held;
  held.netlink_.emplace(TRY(sys::Netlink::open()));
  divert_to_waiting_room(held.hold_, here, address);
  auto mechanism = find_mechanism(place.forwarding());
  if (mechanism && (*mechanism)->waits_at_destination()) {
    divert(held.pass_on_, here, address, {*next, destination.number(), destination.tunnelled()});
    release(held.pass_on_, here, address);
  }
  end_diversion(held.undo_, here, address);
  release(held.undo_, here, address);
  return held;
}

HeldPackets::HeldPackets(HeldPackets&& other) noexcept
    : netlink_(std::move(other.netlink_)),
      hold_(std::move(other.hold_)),
      pass_on_(std::move(other.pass_on_)),
      undo_(std::move(other.undo_)),
      holding_(std::exchange(other.holding_, false)) {}

Result<void> HeldPackets::hold() {
  if (!netlink_) return {};
  holding_ = true;
  return netlink_->run(hold_).within("holding packets");
}

Result<void> HeldPackets::pass_on() {
  if (!netlink_) return {};
  return netlink_->run(pass_on_).within("passing packets on");
}

void HeldPackets::let_go() {
  if (holding_) (void)netlink_->run(undo_);  // the daemon does it again when the migration has failed
  holding_ = false;
}

HeldPackets::~HeldPackets() { let_go(); }

}  // namespace godwit::forwarding
