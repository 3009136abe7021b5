// The one call that a machine makes before it is a node: Membership.Join (proto/godwit/api.proto).
#pragma once

#include <godwit/api.pb.h>

#include <chrono>
#include <string>

#include "base/result.h"
#include "cli/server_authority.h"

namespace godwit::cli {

// Over TLS, trusting `server`'s authority only. Errors: denied (the token or the name is not accepted), peer_lost.
Result<api::JoinReply> call_join(const std::string& host, uint16_t port, const ServerAuthority& server,
                                 const api::JoinRequest& request, std::chrono::milliseconds patience);

}  // namespace godwit::cli
