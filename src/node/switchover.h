// The one decision of a migration: which copy counts. It is a compare-and-swap of the job's entry in the directory,
// made by the destination (switch_over) or, against it, by a source that does not know how things stand (fence). Only
// one can win.
//
// Blocking; from any thread. Decision::unknown means that the directory did not answer: neither copy may be let run or
// discarded on its strength; ask again. Asking again is always safe.
#pragma once

#include <cstdint>
#include <string>

#include "directory/directory.h"
#include "godwit/api.pb.h"

namespace godwit::node {

enum class Decision { here, elsewhere, unknown };

struct Ruling {
  Decision decision = Decision::unknown;
  uint64_t version = 0;  // of the entry as it is now, when the job is here
  uint64_t epoch = 0;
  std::string reason;
};

std::string job_key(const std::string& id);

// The entry's version if it says (node, epoch), which is what a migration sets out from; 0 otherwise.
Result<uint64_t> version_of(directory::Directory& directory, const std::string& id, const std::string& node,
                            uint64_t epoch);

// Destination: `arrived` has its new node and epoch. `version` is what version_of() said before.
Ruling switch_over(directory::Directory& directory, const api::Job& arrived, uint64_t version);

// Destination, after a restart of its daemon in the middle: whether the switchover was made; if not, a request for it
// that is still on its way comes too late.
Ruling settle_arrival(directory::Directory& directory, const api::Job& arrived);

// Source: `job` as it was when the migration began. Raises the epoch with the node unchanged.
Ruling fence(directory::Directory& directory, const api::Job& job);

}  // namespace godwit::node
