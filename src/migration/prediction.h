// What a move will probably take, for `--dry-run`. Pure. The rates are those that `make bench` finds on one processor.
#pragma once

#include <cstdint>

#include "godwit/worker.pb.h"

namespace godwit::migration {

struct MemoryBytes {
  uint64_t own = 0;         // of the processes
  uint64_t in_objects = 0;  // which do not stay behind with post-copy
};

// Sets the report's predictions, ms. With rounds of pre-copy the freeze is the one that they aim at: the most it takes
// if they converge. `elapsed_ms`: what was needed so far.
void predict(const worker::MoveOptions& options, MemoryBytes memory, bool mirror, double elapsed_ms,
             worker::Report& report);

}  // namespace godwit::migration
