// The switchover as the two workers make it: by the daemon that keeps the directory, if one of theirs does, since a
// frozen program waits for it; otherwise by the destination's. What it is, and who wins: node/switchover.h.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "migration/daemon_link.h"
#include "migration/fault_point.h"
#include "migration/phases.h"
#include "transport/connection.h"

namespace godwit::migration {

// For a daemon that will be asked in a moment: it walks the way once.
Result<void> say_commit_soon(DaemonLink& daemon);

// Source, when its daemon makes it: waits until the destination is ready, and tells it. An Error does not say that
// nothing was made: fence().
Result<void> make_switchover(transport::Connection& connection, DaemonLink& daemon, const FaultInjector& faults);

// Destination, ready. Waits for "go" first. With an Error this copy must not run.
Result<void> switch_over(transport::Connection& connection, DaemonLink& daemon, bool source_makes_it);

// Destination, as soon as the program runs; should that not arrive, the source can ask the directory.
void tell_committed(transport::Connection& connection, const Phases& phases,
                    std::chrono::steady_clock::time_point running_since, std::string warning);

// Source, after "go", when the connection broke (`lost`): the directory decides, and a later switchover is made
// impossible. An Error: this copy counts. Does not return when the daemon cannot be asked: dead, we leave the job
// frozen, and the daemon, or the next one, finds out.
Result<void> fence(DaemonLink& daemon, const Error& lost);

}  // namespace godwit::migration
