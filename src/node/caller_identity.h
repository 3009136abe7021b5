// Who makes a call. Included by rpc files only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <optional>

#include "node/daemon.h"

namespace godwit::node {

// A local caller by the socket's credentials; over the peer port what the other daemon says. Nothing: nobody we know.
std::optional<Caller> caller_of(const grpc::ServerContext& context);
inline const grpc::Status kUnknownCaller(grpc::StatusCode::UNAUTHENTICATED, "it is not known who makes this call");
// The name in the certificate of the other node.
std::string peer_node(const grpc::ServerContext& context);

}  // namespace godwit::node
