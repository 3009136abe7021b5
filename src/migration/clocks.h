// The job's clocks: CLOCK_MONOTONIC and CLOCK_BOOTTIME go on at the destination by the real time that passed, the
// freeze included.
//
// A time namespace shows the node's clock plus an offset. On the same machine the offset is simply kept; on another one
// it is what makes the job's clock, as told by the source, go on from the wall clock time that both nodes share (keep
// them in step by NTP). Source: time_namespaces(7), /proc/PID/timens_offsets.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "coprocess/logical_host.h"
#include "godwit/wire.pb.h"

namespace godwit::migration {

using ClockOffsets = coprocess::TimeOffsets;

// Source: writes the job's clocks and offsets into the offer. `init_host_pid`: a process in the job's time namespace.
Result<void> describe_clocks(pid_t init_host_pid, wire::Offer& offer);
// Destination: the offsets the job's time namespace needs on this node.
Result<ClockOffsets> clock_offsets_here(const wire::Offer& offer);
// Pure part of clock_offsets_here: `here` are this node's clocks at `here_realtime_ns`.
ClockOffsets offsets_for(const wire::Offer& offer, const ClockOffsets& here, int64_t here_realtime_ns);

}  // namespace godwit::migration
