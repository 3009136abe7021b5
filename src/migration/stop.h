// The stop of a job; and the one at a moment when nothing waits to be read or accepted that cannot move: inotify
// events, netlink messages, what raw sockets got, connections to listening sockets of MPTCP.
#pragma once

#include <functional>
#include <vector>

#include "base/result.h"
#include "forwarding/held_packets.h"
#include "freeze/seized_tree.h"
#include "godwit/worker.pb.h"
#include "migration/inventory.h"
#include "objects/sockets.h"
#include "sys/closed_connections.h"

namespace godwit::migration {

// All threads stopped, what each was waiting for noted just before.
Result<freeze::SeizedTree> stop_all(Inventory& inventory, const worker::JobPlace& place);
struct QuietStop {
  freeze::SeizedTree tree;
  std::vector<sys::LastWords> lost;  // to peers that have not taken them even after a while
};
// The same, and packets are held. When there is such a thing then, the job and its packets are let go for a moment to
// read it, and stopped again, up to a hundred times. ErrorKind::retry when even then it is not read. The job is also
// stopped again, a few times, when what it has written to connections that are closed by now does not arrive in a
// moment: it does not move either. `meanwhile`: done before each further stop, while it runs.
Result<QuietStop> stop_quiet(Inventory& inventory, const worker::JobPlace& place, objects::SocketCapture& sockets,
                             forwarding::HeldPackets& packets, const std::function<Result<void>()>& meanwhile);
// Once the program runs elsewhere.
void warn_of_loss(const std::vector<sys::LastWords>& lost, worker::Report& report);

}  // namespace godwit::migration
