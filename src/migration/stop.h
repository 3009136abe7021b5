// The stop of a job; and the one at a moment when nothing waits to be read or accepted that cannot move: inotify
// events, netlink messages, what raw sockets got, connections to listening sockets of MPTCP.
#pragma once

#include "base/result.h"
#include "forwarding/held_packets.h"
#include "freeze/seized_tree.h"
#include "godwit/worker.pb.h"
#include "migration/inventory.h"

namespace godwit::migration {

// All threads stopped, what each was waiting for noted just before.
Result<freeze::SeizedTree> stop_all(Inventory& inventory, const worker::JobPlace& place);
// The same, and packets are held. When there is such a thing then, the job and its packets are let go for a moment to
// read it, and stopped again, up to a hundred times. ErrorKind::retry when even then it is not read.
Result<freeze::SeizedTree> stop_quiet(Inventory& inventory, const worker::JobPlace& place,
                                      forwarding::HeldPackets& packets);

}  // namespace godwit::migration
