// What is left at the source after the switchover of post-copy: it may be written to disk before, is sent, given back
// as it arrives, and discarded by the caller in the end. One thread only. A failure is the job's loss: the program runs
// elsewhere already.
#pragma once

#include <string>

#include "address_space/mirror.h"
#include "address_space/page_server.h"
#include "freeze/seized_tree.h"
#include "godwit/worker.pb.h"
#include "migration/reconnection.h"
#include "transport/connection.h"

namespace godwit::migration {

// In the freeze: what is left behind is on disk when it returns.
Result<void> write_mirror(address_space::MirrorWriter& mirror, const worker::SourceOrder& order,
                          const address_space::PageServer& server, worker::Report& report);

enum class WhatArrived : uint8_t { is_given_back, stays };

// Blocks until all of it has arrived or cannot any more; `report` says which. `cgroup`: that holds the tree.
void push_rest(Push push, transport::Connection& connection, freeze::SeizedTree tree, const std::string& cgroup,
               WhatArrived what_arrived, worker::Report& report);

}  // namespace godwit::migration
