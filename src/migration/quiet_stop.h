// The stop of a job at a moment when nothing waits to be read that cannot move: inotify events, netlink
// messages, what raw sockets got.
#pragma once

#include "base/result.h"
#include "freeze/seized_tree.h"
#include "godwit/worker.pb.h"
#include "migration/inventory.h"

namespace godwit::migration {

// All threads stopped, what each was waiting for noted just before. When there is such a thing the job is let go for a
// moment to read it, and stopped again, up to a hundred times. ErrorKind::retry when even then events are not read.
Result<freeze::SeizedTree> stop_quiet(Inventory& inventory, const worker::JobPlace& place);

}  // namespace godwit::migration
