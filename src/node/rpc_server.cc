#include "node/rpc_server.h"

#include <fcntl.h>
#include <grpcpp/server_posix.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <thread>

#include "node/peer_channels.h"
#include "node/rpc_godwit.h"
#include "node/rpc_peer.h"
#include "sys/unix_socket.h"
#include "transport/certificates.h"

namespace godwit::node {

namespace {

constexpr int kAcceptMs = 500;
constexpr std::chrono::milliseconds kUntilJoined(5'000);

class Servers final : public RpcServers {
 public:
  explicit Servers(Daemon& daemon) : godwit_(daemon), peer_(daemon), membership_(daemon), daemon_(daemon) {}
  ~Servers() override;
  Result<void> start();

 private:
  Result<void> start_local();
  Result<void> start_peer();
  Result<void> start_membership();
  void accept_local();

  GodwitService godwit_;
  PeerService peer_;
  MembershipService membership_;
  Daemon& daemon_;
  std::unique_ptr<grpc::Server> local_server_, peer_server_, membership_server_;
  UniqueFd listening_;
  std::thread acceptor_;
  std::atomic<bool> stopping_ = false;
};

Result<void> Servers::start() {
  TRY(start_peer());
  if (daemon_.config().directory_node.empty()) TRY(start_membership());
  // Whoever finds the local socket finds the other nodes, too.
  daemon_.join_cluster(kUntilJoined);
  return start_local();
}

Result<void> Servers::start_local() {
  grpc::ServerBuilder builder;
  builder.RegisterService(&godwit_);
  local_server_ = builder.BuildAndStart();
  if (!local_server_) return error(ErrorKind::failed, "gRPC does not start");
  std::string path = daemon_.config().run_directory + "/godwitd.sock";
  listening_ = TRY(sys::listen_unix(path));
  ::chmod(path.c_str(), 0666);  // who may do what is decided per call, by uid
  acceptor_ = std::thread([this] { accept_local(); });
  return {};
}

// gRPC does not tell who is at the other end of a unix socket: we accept, and the kernel tells (caller_identity.h).
void Servers::accept_local() {
  while (!stopping_) {
    auto fd = sys::accept_unix(listening_.get(), kAcceptMs);
    if (fd) {
      grpc::AddInsecureChannelFromFd(local_server_.get(), fd->release());
    } else if (fd.error().errno_value != 0) {
      spdlog::error("{}", fd.error().message());
      std::this_thread::sleep_for(std::chrono::milliseconds(kAcceptMs));  // no descriptors left, for one
    }
  }
}

std::string server_address(const std::string& host, unsigned port) {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

grpc::SslServerCredentialsOptions tls_options(const transport::TlsFiles& tls,
                                              grpc_ssl_client_certificate_request_type clients) {
  grpc::SslServerCredentialsOptions options(clients);
  options.pem_root_certs = read_file_or_empty(tls.authority);
  options.pem_key_cert_pairs.push_back({read_file_or_empty(tls.key), read_file_or_empty(tls.certificate)});
  return options;
}

Result<void> Servers::start_peer() {
  transport::TlsFiles tls = transport::tls_files_in(daemon_.config().state_directory + "/tls");
  grpc::ServerBuilder builder;
  builder.AddListeningPort(
      server_address(daemon_.config().address, daemon_.config().port),
      grpc::SslServerCredentials(tls_options(tls, GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY)));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 2);
  builder.SetMaxReceiveMessageSize(kLargestMessage);
  builder.RegisterService(&godwit_);
  builder.RegisterService(&peer_);
  peer_server_ = builder.BuildAndStart();
  if (!peer_server_) {
    return error(ErrorKind::failed,
                 "cannot listen for other nodes on " + server_address(daemon_.config().address, daemon_.config().port));
  }
  return {};
}

Result<void> Servers::start_membership() {
  transport::TlsFiles tls = transport::tls_files_in(daemon_.config().state_directory + "/tls");
  grpc::ServerBuilder builder;
  builder.AddListeningPort(server_address(daemon_.config().address, daemon_.config().port + 1),
                           grpc::SslServerCredentials(tls_options(tls, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE)));
  builder.RegisterService(&membership_);
  membership_server_ = builder.BuildAndStart();
  if (!membership_server_) return error(ErrorKind::failed, "cannot listen for joining nodes");
  return {};
}

Servers::~Servers() {
  stopping_ = true;
  auto soon = std::chrono::system_clock::now() + std::chrono::milliseconds(200);
  for (auto* server : {&local_server_, &peer_server_, &membership_server_}) {
    if (*server) (*server)->Shutdown(soon);
  }
  if (acceptor_.joinable()) acceptor_.join();
}

}  // namespace

Result<std::unique_ptr<RpcServers>> RpcServers::start(Daemon& daemon) {
  auto servers = std::make_unique<Servers>(daemon);
  TRY(servers->start());
  return std::unique_ptr<RpcServers>(std::move(servers));
}

}  // namespace godwit::node
