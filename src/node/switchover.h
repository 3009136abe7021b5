// The one decision of a migration: which copy counts. It is a compare-and-swap of the job's entry in the directory,
// made for the destination (switch_over; by its daemon, or by the source's if that keeps the directory) or, against it,
// by a source that does not know how things stand (fence). Only one can win.
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

// The job's entry as it is to be after a migration from (from, epoch) to the node.
api::Job arrived_job(api::Job job, const std::string& from, uint64_t epoch, const std::string& to);

// `arrived`: by arrived_job(). `version`: what version_of() said when the migration began.
Ruling switch_over(directory::Directory& directory, const api::Job& arrived, uint64_t version);

// Destination, when its daemon does not know (restarted in the middle, or the source's was to make it): whether the
// switchover was made; if not, a request for it that is still on its way comes too late.
Ruling settle_arrival(directory::Directory& directory, const api::Job& arrived);

// Source: `job` as it was when the migration began. Raises the epoch with the node unchanged.
Ruling fence(directory::Directory& directory, const api::Job& job);

}  // namespace godwit::node
