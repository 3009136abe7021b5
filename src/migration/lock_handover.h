// The handing over of locks on files that both nodes share, after the switchover and before the program runs again.
//
// Four steps, each told with a lock_step frame: the destination says that it has switched over, the source makes its
// exclusive locks shared, the destination takes shared ones, the source releases its own, the destination makes its own
// exclusive. Who waits for an exclusive lock never gets it in between. What remains: a reader that waits for a shared
// lock may have it for a moment, and the destination waits until it is done; a lock that the program has through a
// descriptor open for writing only cannot be shared, and is free between the third step and the last. When the
// connection breaks the destination goes on trying: the source's copy, and its locks with it, are discarded in any
// case. One thread each.
#pragma once

#include <string>

#include "base/result.h"
#include "freeze/seized_tree.h"
#include "godwit/wire.pb.h"
#include "migration/restoration.h"
#include "objects/file_locks.h"
#include "transport/connection.h"

namespace godwit::migration {

// Source: what comes after "go", with the locks given up if the destination wants them first. `cgroup`: of the
// processes, frozen; when processes have to release locks it is thawed, and they die with us from then on.
Result<wire::Committed> hear_of_commit(transport::Connection& connection, objects::LockSet& locks,
                                       freeze::SeizedTree& tree, const std::string& cgroup);

// Destination, switched over: waits for the locks, a while at most. Returns what went wrong, for the report; the
// program is to run in any case.
std::string take_locks_over(transport::Connection& connection, Restoration& restoration);

}  // namespace godwit::migration
