// Who a thread is: user and group ids, supplementary groups, capabilities, securebits, no_new_privs.
//
// Read from /proc/PID/status; set from inside, thread by thread, by plain system calls (each thread of Linux has
// credentials of its own). Restoring never grants more than the job's owner had: check_credentials() comes first. Pure
// but for the calls it adds. A failure leaves a thread that has not run yet with some credentials set: it must be
// discarded. Source: credentials(7), capabilities(7), Linux kernel/cred.c, security/commoncap.c.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "godwit/image.pb.h"
#include "proc/status.h"

namespace godwit::objects {

struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
};

// Everything that the status file tells; securebits are not in it (0 here).
image::Credentials credentials_of(const proc::Status& status);

// Whether the owner may have `wanted`, where `available` are the restoring side's own credentials. A root owner may
// have all that is available; any other owner only ids of his own and no capability at all. Errors: denied, unsupported
// (a capability that this node does not have), corrupt.
Result<void> check_credentials(const image::Credentials& wanted, const Owner& owner,
                               const image::Credentials& available);

// Adds what turns `current` into `wanted`; nothing when they are the same. Requires: check_credentials() agreed, and
// the calling thread is capable. Clears the thread's parent-death signal and the process's dumpable flag when ids
// change.
Result<void> add_credentials(freeze::CallBatch& batch, const image::Credentials& wanted,
                             const image::Credentials& current);

}  // namespace godwit::objects
