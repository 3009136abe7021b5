#include "node/peers.h"

#include <spdlog/spdlog.h>

#include "node/peer_channels.h"
#include "sys/text_file.h"

namespace godwit::node {

namespace {

constexpr std::chrono::seconds kPatience(15);
constexpr std::chrono::seconds kMessagePatience(2);  // packets wait meanwhile

}  // namespace

Peers::Peers(std::string self, transport::TlsFiles tls) : channels_(std::make_unique<Channels>()) {
  channels_->self = std::move(self);
  channels_->tls = std::move(tls);
}

Peers::~Peers() = default;

std::string read_file_or_empty(const std::string& path) { return sys::read_text(path).value_or(std::string()); }

void Peers::set_address(const std::string& node, const std::string& host, unsigned port) {
  std::string address = (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  std::lock_guard lock(channels_->mutex);
  Channels::Node& entry = channels_->nodes[node];
  if (entry.address == address) return;
  entry = {address, nullptr};
}

std::string Peers::address_of(const std::string& node) {
  std::lock_guard lock(channels_->mutex);
  auto found = channels_->nodes.find(node);
  return found == channels_->nodes.end() ? std::string() : found->second.address;
}

Result<std::shared_ptr<grpc::Channel>> Peers::Channels::to(const std::string& node) {
  std::lock_guard lock(mutex);
  auto found = nodes.find(node);
  if (found == nodes.end()) return error(ErrorKind::gone, "there is no node " + node);
  if (!found->second.channel) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = read_file_or_empty(tls.authority);
    options.pem_private_key = read_file_or_empty(tls.key);
    options.pem_cert_chain = read_file_or_empty(tls.certificate);
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(node);  // the certificate names the node, wherever it is reached
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);  // a node that vanishes is noticed
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetMaxReceiveMessageSize(kLargestMessage);
    found->second.channel = grpc::CreateCustomChannel(found->second.address, grpc::SslCredentials(options), arguments);
  }
  return found->second.channel;
}

grpc::Status in_own_words(const grpc::Status& status, const std::string& node) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return {grpc::StatusCode::UNAVAILABLE, "node " + node + " did not answer in time"};
  }
  bool passed_on = status.error_message().starts_with("node ") || status.error_message().starts_with("job ");
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE || passed_on) return status;
  spdlog::debug("node {}: {}", node, status.error_message());
  return {grpc::StatusCode::UNAVAILABLE, "node " + node + " cannot be reached; `godwit nodes` shows which are up"};
}

Error from_status(const grpc::Status& given, const std::string& node) {
  grpc::Status status = in_own_words(given, node);
  ErrorKind kind = ErrorKind::failed;
  switch (status.error_code()) {
    case grpc::StatusCode::NOT_FOUND: kind = ErrorKind::gone; break;
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED: kind = ErrorKind::denied; break;
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::ALREADY_EXISTS: kind = ErrorKind::conflict; break;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED: kind = ErrorKind::peer_lost; break;
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::UNIMPLEMENTED: kind = ErrorKind::unsupported; break;
    case grpc::StatusCode::RESOURCE_EXHAUSTED: kind = ErrorKind::exhausted; break;
    default: break;
  }
  return error(kind, status.error_message());
}

grpc::Status to_status(const Error& failure) {
  grpc::StatusCode code = grpc::StatusCode::INTERNAL;
  switch (failure.kind) {
    case ErrorKind::gone: code = grpc::StatusCode::NOT_FOUND; break;
    case ErrorKind::denied: code = grpc::StatusCode::PERMISSION_DENIED; break;
    case ErrorKind::conflict: code = grpc::StatusCode::ALREADY_EXISTS; break;
    case ErrorKind::peer_lost:
    case ErrorKind::retry: code = grpc::StatusCode::UNAVAILABLE; break;
    case ErrorKind::unsupported: code = grpc::StatusCode::FAILED_PRECONDITION; break;
    case ErrorKind::exhausted: code = grpc::StatusCode::RESOURCE_EXHAUSTED; break;
    case ErrorKind::corrupt: code = grpc::StatusCode::INVALID_ARGUMENT; break;
    default: break;
  }
  return {code, failure.message()};
}

template <class Request, class Reply>
static Result<Reply> call(Peers::Channels& channels, const std::string& node, const Request& request,
                          grpc::Status (api::Peer::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                          std::chrono::seconds patience = kPatience) {
  auto stub = api::Peer::NewStub(TRY(channels.to(node)));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + patience);
  Reply reply;
  grpc::Status status = (stub.get()->*method)(&context, request, &reply);
  if (!status.ok()) return from_status(status, node);
  return reply;
}

Result<api::PrepareReply> Peers::prepare(const std::string& node, const api::PrepareRequest& request) {
  return call(*channels_, node, request, &api::Peer::Stub::Prepare);
}

Result<std::string> Peers::abandon(const std::string& node, const std::string& migration) {
  api::AbandonRequest request;
  request.set_migration(migration);
  return TRY(call(*channels_, node, request, &api::Peer::Stub::Abandon)).why();
}

Result<void> Peers::still_leaving(const std::string& node, const std::string& migration) {
  api::AbandonRequest request;
  request.set_migration(migration);
  TRY(call(*channels_, node, request, &api::Peer::Stub::StillLeaving, kMessagePatience));
  return {};
}

Result<api::Whereabouts> Peers::where(const std::string& node, const api::WhereRequest& request) {
  return call(*channels_, node, request, &api::Peer::Stub::Where, kMessagePatience);
}

Result<api::MessageCounts> Peers::count_messages(const std::string& node, const api::WhereRequest& request) {
  return call(*channels_, node, request, &api::Peer::Stub::CountMessages, kMessagePatience);
}

Result<void> Peers::tell_moved(const std::string& node, const api::MovedReport& report) {
  TRY(call(*channels_, node, report, &api::Peer::Stub::TellMoved, kMessagePatience));
  return {};
}

Result<void> Peers::tell_where(const std::string& node, const api::Whereabouts& word) {
  TRY(call(*channels_, node, word, &api::Peer::Stub::TellWhere, kMessagePatience));
  return {};
}

Result<api::DirectoryEntry> Peers::directory_get(const std::string& node, const api::DirectoryGetRequest& request) {
  return call(*channels_, node, request, &api::Peer::Stub::DirectoryGet);
}

Result<api::DirectoryListReply> Peers::directory_list(const std::string& node,
                                                      const api::DirectoryListRequest& request) {
  return call(*channels_, node, request, &api::Peer::Stub::DirectoryList);
}

Result<api::DirectoryWatchReply> Peers::directory_watch(const std::string& node,
                                                        const api::DirectoryWatchRequest& request) {
  return call(*channels_, node, request, &api::Peer::Stub::DirectoryWatch);
}

Result<api::DirectoryEntry> Peers::directory_put(const std::string& node, const api::DirectoryPutRequest& request) {
  return call(*channels_, node, request, &api::Peer::Stub::DirectoryPut);
}

Result<std::optional<directory::Entry>> RemoteDirectory::get(std::string_view key) {
  api::DirectoryGetRequest request;
  request.set_key(std::string(key));
  auto entry = TRY(peers_.directory_get(node_, request));
  if (!entry.found()) return std::optional<directory::Entry>();
  return std::optional<directory::Entry>(directory::Entry{entry.key(), entry.value(), entry.version()});
}

Result<std::vector<directory::Entry>> RemoteDirectory::list(std::string_view prefix) {
  api::DirectoryListRequest request;
  request.set_prefix(std::string(prefix));
  std::vector<directory::Entry> entries;
  auto reply = TRY(peers_.directory_list(node_, request));
  for (const auto& entry : reply.entries()) entries.push_back({entry.key(), entry.value(), entry.version()});
  return entries;
}

Result<uint64_t> RemoteDirectory::put(std::string_view key, std::string_view value, directory::Expect expect,
                                      std::chrono::milliseconds lease) {
  api::DirectoryPutRequest request;
  request.set_key(std::string(key));
  request.set_value(std::string(value));
  request.set_expected_version(expect.version);
  request.set_any_version(expect.any);
  request.set_lease_ms(static_cast<uint32_t>(lease.count()));
  return TRY(peers_.directory_put(node_, request)).version();
}

Result<uint64_t> RemoteDirectory::watch(std::string_view prefix, uint64_t since, std::chrono::milliseconds patience) {
  api::DirectoryWatchRequest request;
  request.set_prefix(std::string(prefix));
  request.set_since_version(since);
  // Shorter than a call may take; whoever wants to wait longer calls again.
  request.set_patience_ms(static_cast<uint32_t>(std::min<std::chrono::milliseconds>(patience, kPatience / 2).count()));
  return TRY(peers_.directory_watch(node_, request)).version();
}

Result<void> RemoteDirectory::remove(std::string_view key, directory::Expect expect) {
  api::DirectoryPutRequest request;
  request.set_key(std::string(key));
  request.set_expected_version(expect.version);
  request.set_any_version(expect.any);
  request.set_remove(true);
  TRY(peers_.directory_put(node_, request));
  return {};
}

}  // namespace godwit::node
