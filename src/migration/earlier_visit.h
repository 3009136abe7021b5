// What an earlier visit of the job left of its memory at the destination, as the two sides tell each other of it.
//
// After the skeleton is ready: frames page_digests of the beginnings of each page's SHA-256, the first eight bytes, in
// the order of the cache, and an empty one behind the last; 2 MiB for 1 GiB. So the source alone hashes its pages,
// once, and no answer is waited for.
#pragma once

#include <optional>

#include "address_space/page_cache.h"
#include "base/result.h"
#include "godwit/worker.pb.h"
#include "transport/connection.h"

namespace godwit::migration {

// What there is here, if it is to be used; what does not look sound is as good as none.
std::optional<address_space::PageCache> open_cache(const worker::JobPlace& place, const worker::MoveOptions& options);
Result<void> tell_cached(transport::Connection& connection, const std::optional<address_space::PageCache>& cache);
// Those of more than twice the job's memory, objects among it, are passed over. Errors: corrupt when there are more
// than a cache can have.
Result<std::vector<uint64_t>> receive_cached(transport::Connection& connection, uint64_t memory_bytes);
// The job is here: what it left before is out of date.
void forget_visit(const worker::JobPlace& place);

}  // namespace godwit::migration
