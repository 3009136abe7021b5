// The Peer service: what daemons of one cluster ask of each other. Included by rpc files only.
#pragma once

#include "godwit/api.grpc.pb.h"
#include "node/caller_identity.h"
#include "node/daemon.h"

namespace godwit::node {

inline const grpc::Status kNoNode(grpc::StatusCode::UNAUTHENTICATED, "only nodes of this cluster may ask this");

class PeerService final : public api::Peer::Service {
 public:
  explicit PeerService(Daemon& daemon) : daemon_(daemon) {}
  using Context = grpc::ServerContext;
  using Status = grpc::Status;

  Status Prepare(Context*, const api::PrepareRequest*, api::PrepareReply*) override;
  Status Abandon(Context*, const api::AbandonRequest*, api::AbandonReply*) override;
  Status StillLeaving(Context*, const api::AbandonRequest*, api::Done*) override;
  Status Where(Context*, const api::WhereRequest*, api::Whereabouts*) override;
  Status TellWhere(Context*, const api::Whereabouts*, api::Done*) override;
  Status TellMoved(Context*, const api::MovedReport*, api::Done*) override;
  Status CountMessages(Context*, const api::WhereRequest*, api::MessageCounts*) override;
  Status TracePackets(Context*, const api::TracePacketsRequest*, grpc::ServerWriter<api::TracedPacket>*) override;
  Status DirectoryGet(Context*, const api::DirectoryGetRequest*, api::DirectoryEntry*) override;
  Status DirectoryList(Context*, const api::DirectoryListRequest*, api::DirectoryListReply*) override;
  Status DirectoryWatch(Context*, const api::DirectoryWatchRequest*, api::DirectoryWatchReply*) override;
  Status DirectoryPut(Context*, const api::DirectoryPutRequest*, api::DirectoryEntry*) override;

 private:
  Daemon& daemon_;
};

// On a port of its own, where a node that has no certificate yet can ask for one with a token.
class MembershipService final : public api::Membership::Service {
 public:
  explicit MembershipService(Daemon& daemon) : daemon_(daemon) {}
  grpc::Status Join(grpc::ServerContext*, const api::JoinRequest*, api::JoinReply*) override;

 private:
  Daemon& daemon_;
};

}  // namespace godwit::node
