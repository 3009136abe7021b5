// The daemon's two gRPC servers: the local unix socket, where the caller is known by SO_PEERCRED, and the peer port
// with mutual TLS.
#pragma once

#include <memory>

#include "base/result.h"
#include "node/daemon.h"

namespace godwit::node {

class RpcServers {
 public:
  // Both serve from here on, on threads of their own, until destruction.
  static Result<std::unique_ptr<RpcServers>> start(Daemon& daemon);
  virtual ~RpcServers() = default;
};

}  // namespace godwit::node
