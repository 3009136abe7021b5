// Follows a console's output from an offset on, wherever the job goes: here from its log, elsewhere through that node's
// daemon. Included by rpc files only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <mutex>

#include "godwit/api.grpc.pb.h"
#include "node/daemon.h"

namespace godwit::node {

struct FollowRequest {
  std::string job;
  uint32_t console = 0;
  uint64_t from_offset = 0;
  bool only_end = false;  // no output, only how the program ends
  bool from_end = false;
  bool until_end_of_job = true;   // false: what is there now
  bool counts_as_reader = false;  // output waits for it
  uint64_t tail_bytes = 0;
};

class Follower {
 public:
  using Sink = std::function<bool(const api::Output&)>;  // false: the listener is gone
  // `context` is of the call that is answered; when it is cancelled run() ends.
  Follower(Daemon& daemon, Caller caller, const grpc::ServerContext& context, FollowRequest request)
      : daemon_(daemon), caller_(caller), context_(context), request_(std::move(request)) {}
  grpc::Status run(const Sink& sink);

 private:
  enum class Outcome { ended, moved, listener_gone };
  Result<Outcome> here(const std::string& id, const Sink& sink);
  Result<Outcome> elsewhere(const Located& located, const Sink& sink);
  // Gives out what the log has; false: the listener is gone.
  Result<bool> give_out(class LogReader& reader, const std::string& id, uint64_t skip_until, const Sink& sink);

  Daemon& daemon_;
  Caller caller_;
  const grpc::ServerContext& context_;
  FollowRequest request_;
};

}  // namespace godwit::node
