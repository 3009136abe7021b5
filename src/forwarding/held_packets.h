// HeldPackets: what arrives for a logical host while it is frozen waits, in order.
//
// The source's scope, from the freeze to the switchover. Packets wait in this node's waiting room. Where the mechanism
// wants it, pass_on() sends them, and what follows, to the destination, where they wait as well. Its end, before
// commit(), lets everything go. What is done inside the freeze is prepared ahead: some microseconds each. A worker that
// is killed leaves the diversion behind; the daemon ends it.
#pragma once

#include <optional>

#include "base/result.h"
#include "forwarding/routes.h"
#include "godwit/worker.pb.h"
#include "sys/netlink.h"

namespace godwit::forwarding {

class HeldPackets {
 public:
  // Before the freeze. For a logical host without an address everything below does nothing.
  static Result<HeldPackets> prepare(const worker::NetworkPlace& place, const worker::PeerAddress& destination);
  ~HeldPackets();
  HeldPackets(HeldPackets&& other) noexcept;
  HeldPackets& operator=(HeldPackets&&) = delete;

  Result<void> hold();
  // What waits goes to the program that runs on here, and so does what follows.
  void let_go();
  Result<void> pass_on();
  // The destination has the program: the daemon decides what becomes of the diversion.
  void commit() { holding_ = false; }

 private:
  HeldPackets() = default;
  std::optional<sys::Netlink> netlink_;
  NetlinkBatch hold_, pass_on_, undo_;
  bool holding_ = false;
};

}  // namespace godwit::forwarding
