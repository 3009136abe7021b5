// The source's side of a migration, as a list of stages. Until the switchover everything it does can be undone and is,
// by scopes.
#pragma once

#include "base/result.h"
#include "godwit/worker.pb.h"
#include "migration/daemon_link.h"

namespace godwit::migration {

// Runs one migration to its end and tells the daemon through `link` how it went (Refused, DryRun, Moved or Failed).
// An Error is a failure that was not told yet. Blocks; for a single-threaded worker process.
Result<void> run_source(const worker::SourceOrder& order, DaemonLink& link);

}  // namespace godwit::migration
