// The Godwit service: for local users and, over the peer port, for other daemons on behalf of theirs. Included by rpc
// files only.
#pragma once

#include "godwit/api.grpc.pb.h"
#include "node/caller_identity.h"
#include "node/daemon.h"
#include "node/peer_channels.h"

namespace godwit::node {

class GodwitService final : public api::Godwit::Service {
 public:
  explicit GodwitService(Daemon& daemon) : daemon_(daemon) {}
  using Context = grpc::ServerContext;
  using Status = grpc::Status;

  Status Run(Context*, const api::RunRequest*, api::RunReply*) override;
  Status ListJobs(Context*, const api::ListJobsRequest*, api::ListJobsReply*) override;
  Status Inspect(Context*, const api::JobRequest*, api::Job*) override;
  Status Move(Context*, const api::MoveRequest*, grpc::ServerWriter<api::MoveEvent>*) override;
  Status Cancel(Context*, const api::JobRequest*, api::Done*) override;
  Status Resume(Context*, const api::JobRequest*, api::Done*) override;
  Status Switch(Context*, const api::JobRequest*, api::Done*) override;
  Status Attach(Context*, grpc::ServerReaderWriter<api::Output, api::AttachInput>*) override;
  Status Logs(Context*, const api::LogsRequest*, grpc::ServerWriter<api::Output>*) override;
  Status Exec(Context*, const api::ExecRequest*, api::ExecReply*) override;
  Status Wait(Context*, const api::WaitRequest*, api::WaitReply*) override;
  Status SetForwarding(Context*, const api::ForwardingRequest*, api::Done*) override;
  Status Kill(Context*, const api::KillRequest*, api::Done*) override;
  Status Stop(Context*, const api::StopRequest*, api::Done*) override;
  Status Nodes(Context*, const api::NodesRequest*, api::NodesReply*) override;
  Status Events(Context*, const api::EventsRequest*, grpc::ServerWriter<api::Event>*) override;
  Status Trace(Context*, const api::TraceRequest*, grpc::ServerWriter<api::TracedPacket>*) override;
  Status Token(Context*, const api::TokenRequest*, api::TokenReply*) override;
  Status Remove(Context*, const api::JobRequest*, api::Done*) override;

 private:
  // Finds the job; does `here` with its identifier when it is on this node, else makes the same call there.
  template <class Request, class Reply, class Here>
  Status where_it_is(Context* context, const Request* request, Reply* reply,
                     Status (api::Godwit::Stub::*method)(grpc::ClientContext*, const Request&, Reply*), Here here);

  Daemon& daemon_;
};

}  // namespace godwit::node
