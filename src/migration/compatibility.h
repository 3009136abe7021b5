// Whether this node can run what another froze: processor state, vDSO, kernel. Compared before anything is touched.
// The pool of huge pages is counted too.
// Source: XSAVE area: Intel SDM vol. 1 ch. 13, XCR0 by xgetbv; vDSO: vdso(7).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "godwit/wire.pb.h"
#include "godwit/worker.pb.h"

namespace godwit::migration {

constexpr uint32_t kProtocolVersion = 4;

// Fills in what this node is: kernel release, boot id, vDSO and processor state.
Result<void> describe_this_node(wire::Offer& offer);
// What of the source's node this one cannot serve.
std::vector<worker::Refusal> incompatibilities(const wire::Offer& here, const wire::Offer& source);
// What a job needs of this node's pool of huge pages and is not there. `left`: pages of a size that can still be asked
// for; nothing: the kernel has none of that size. `in_place`: files that are there already.
using PoolPagesLeft = std::function<std::optional<uint64_t>(uint64_t page_bytes)>;
std::vector<worker::Refusal> pool_shortages(const image::LogicalHost& plan, const std::set<uint32_t>& in_place,
                                            const PoolPagesLeft& left);

}  // namespace godwit::migration
