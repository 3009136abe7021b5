// After the death of a source that had left memory behind: another worker comes to the destination in its place, and
// serves the rest from the mirror that was written before the switchover (address_space/mirror.h).
#pragma once

#include "base/result.h"
#include "godwit/worker.pb.h"
#include "migration/daemon_link.h"

namespace godwit::migration {

// Returns when the destination has all of it, which is told as Moved. However it ends, the mirror has done its work and
// goes; not when this process is killed. Errors: gone when nobody waits there any more;
// corrupt when the mirror does not have what is asked for.
Result<void> run_mirrored_push(const worker::MirrorOrder& order, DaemonLink& link);

}  // namespace godwit::migration
