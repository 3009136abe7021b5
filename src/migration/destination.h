// The destination's side of a migration, as a list of stages. Until the switchover nothing it made is visible or runs,
// and all of it goes when its scopes end.
#pragma once

#include "base/result.h"
#include "godwit/worker.pb.h"
#include "migration/daemon_link.h"

namespace godwit::migration {

// Runs one migration to its end and tells the daemon through `link` how it went (Listening, then Moved or Failed).
// An Error is a failure that was not told yet. Blocks; for a single-threaded worker process.
Result<void> run_destination(const worker::DestinationOrder& order, DaemonLink& link);

}  // namespace godwit::migration
