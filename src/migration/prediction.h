// What a move will probably take, for `--dry-run`. Pure. The rates are those that `make bench` finds on one processor.
#pragma once

#include <cstdint>

#include "godwit/worker.pb.h"

namespace godwit::migration {

// Sets the report's predictions, ms. With rounds of pre-copy the freeze is the one that they aim at: the most it takes
// if they converge. `elapsed_ms`: what was needed so far.
void predict(const worker::MoveOptions& options, uint64_t memory_bytes, bool mirror, double elapsed_ms,
             worker::Report& report);

}  // namespace godwit::migration
