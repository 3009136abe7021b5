#include "node/rpc_peer.h"

#include "node/peer_channels.h"
#include "sys/text_file.h"
#include "transport/join_token.h"

namespace godwit::node {

using Status = grpc::Status;

Status PeerService::Prepare(Context* context, const api::PrepareRequest* request, api::PrepareReply* reply) {
  // A node may send only what it has itself.
  if (peer_node(*context) != request->source_node()) return kNoNode;
  auto prepared = daemon_.prepare(*request);
  if (!prepared) return to_status(prepared.error());
  *reply = *prepared;
  return Status::OK;
}

Status PeerService::Abandon(Context* context, const api::AbandonRequest* request, api::AbandonReply* reply) {
  if (peer_node(*context).empty()) return kNoNode;
  reply->set_why(daemon_.abandon(request->migration()));
  return Status::OK;
}

Status PeerService::StillLeaving(Context* context, const api::AbandonRequest* request, api::Done*) {
  if (peer_node(*context).empty()) return kNoNode;
  if (daemon_.is_leaving(request->migration())) return Status::OK;
  return {grpc::StatusCode::NOT_FOUND,
          "node " + daemon_.config().node + " has nothing more of the memory that was still to come from there"};
}

Status PeerService::Where(Context* context, const api::WhereRequest* request, api::Whereabouts* reply) {
  if (peer_node(*context).empty()) return kNoNode;
  *reply = daemon_.where(*request);
  return Status::OK;
}

Status PeerService::TellWhere(Context* context, const api::Whereabouts* request, api::Done*) {
  if (peer_node(*context).empty()) return kNoNode;
  daemon_.told_where(*request);
  return Status::OK;
}

Status PeerService::TellMoved(Context* context, const api::MovedReport* request, api::Done*) {
  // Only the node that it came from knows.
  if (peer_node(*context).empty() || peer_node(*context) != request->moved().from()) return kNoNode;
  auto told = daemon_.told_moved(*request);
  return told ? Status::OK : to_status(told.error());
}

Status PeerService::CountMessages(Context* context, const api::WhereRequest* request, api::MessageCounts* reply) {
  if (peer_node(*context).empty()) return kNoNode;
  *reply = daemon_.count_messages(request->address());
  return Status::OK;
}

Status PeerService::DirectoryGet(Context* context, const api::DirectoryGetRequest* request,
                                 api::DirectoryEntry* reply) {
  if (peer_node(*context).empty()) return kNoNode;
  auto entry = daemon_.directory().get(request->key());
  if (!entry) return to_status(entry.error());
  if (!*entry) return Status::OK;
  reply->set_found(true);
  reply->set_key((*entry)->key);
  reply->set_value((*entry)->value);
  reply->set_version((*entry)->version);
  return Status::OK;
}

Status PeerService::DirectoryList(Context* context, const api::DirectoryListRequest* request,
                                  api::DirectoryListReply* reply) {
  if (peer_node(*context).empty()) return kNoNode;
  auto entries = daemon_.directory().list(request->prefix());
  if (!entries) return to_status(entries.error());
  for (const directory::Entry& entry : *entries) {
    api::DirectoryEntry& each = *reply->add_entries();
    each.set_found(true);
    each.set_key(entry.key);
    each.set_value(entry.value);
    each.set_version(entry.version);
  }
  return Status::OK;
}

Status PeerService::DirectoryWatch(Context* context, const api::DirectoryWatchRequest* request,
                                   api::DirectoryWatchReply* reply) {
  if (peer_node(*context).empty()) return kNoNode;
  auto version = daemon_.directory().watch(request->prefix(), request->since_version(),
                                           std::chrono::milliseconds(request->patience_ms()));
  if (!version) return to_status(version.error());
  reply->set_version(*version);
  return Status::OK;
}

Status PeerService::DirectoryPut(Context* context, const api::DirectoryPutRequest* request,
                                 api::DirectoryEntry* reply) {
  if (peer_node(*context).empty()) return kNoNode;
  directory::Expect expect{request->expected_version(), request->any_version()};
  if (request->remove()) {
    auto removed = daemon_.directory().remove(request->key(), expect);
    return removed ? Status::OK : to_status(removed.error());
  }
  auto version =
      daemon_.directory().put(request->key(), request->value(), expect, std::chrono::milliseconds(request->lease_ms()));
  if (!version) return to_status(version.error());
  reply->set_found(true);
  reply->set_version(*version);
  return Status::OK;
}

Status MembershipService::Join(grpc::ServerContext*, const api::JoinRequest* request, api::JoinReply* reply) {
  auto admitted = [&]() -> Result<void> {
    if (!transport::valid_node_name(request->node()))
      return error(ErrorKind::corrupt, "not a node name: " + request->node());
    if (request->node() == daemon_.config().node || !daemon_.peers().address_of(request->node()).empty()) {
      return error(ErrorKind::conflict, "the cluster already has a node " + request->node());
    }
    const std::string& state = daemon_.config().state_directory;
    TRY(transport::redeem_join_token(state + "/tokens", request->token(), std::chrono::system_clock::now()));
    std::vector<std::string> addresses(request->addresses().begin(), request->addresses().end());
    reply->set_certificate(
        TRY(transport::sign_request(state + "/tls", request->certificate_request(), request->node(), addresses)));
    reply->set_authority(TRY(sys::read_text(state + "/tls/ca.crt")));
    reply->set_directory(daemon_.config().node + "=" + daemon_.config().address + ":" +
                         std::to_string(daemon_.config().port));
    return {};
  }();
  return admitted ? Status::OK : to_status(admitted.error());
}

}  // namespace godwit::node
