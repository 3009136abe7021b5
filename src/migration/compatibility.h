// Whether this node can run what another froze: processor state, vDSO, kernel. Compared before anything is touched.
// Source: XSAVE area: Intel SDM vol. 1 ch. 13, XCR0 by xgetbv; vDSO: vdso(7).
#pragma once

#include <vector>

#include "base/result.h"
#include "godwit/wire.pb.h"
#include "godwit/worker.pb.h"

namespace godwit::migration {

constexpr uint32_t kProtocolVersion = 1;

// Fills in what this node is: kernel release, boot id, vDSO and processor state.
Result<void> describe_this_node(wire::Offer& offer);
// What of the source's node this one cannot serve.
std::vector<worker::Refusal> incompatibilities(const wire::Offer& here, const wire::Offer& source);

}  // namespace godwit::migration
