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
  std::vector<sys::LastWords> words;  // to peers that have not taken them even after a while
};
// The same, and packets are held. When there is such a thing then, the job and its packets are let go for a moment to
// read it, and stopped again, up to a hundred times. ErrorKind::retry when even then it is not read. What the job has
// written to connections that are closed by now is given a moment to arrive; where it cannot move either (without BPF,
// or to connections within the job that nobody has accepted) the job is stopped again, a few times. `meanwhile`: done
// before each further stop, while it runs.
Result<QuietStop> stop_quiet(Inventory& inventory, const worker::JobPlace& place, objects::SocketCapture& sockets,
                             forwarding::HeldPackets& packets, const std::function<Result<void>()>& meanwhile);
// `lost`: what did not arrive and did not move; `why`, if that is known. Once the program runs elsewhere.
void warn_of_loss(const std::vector<sys::LastWords>& lost, const std::string& why, worker::Report& report);

}  // namespace godwit::migration
