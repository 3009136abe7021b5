#include "cli/membership_call.h"

#include <fmt/format.h>

#include "cli/grpc_channel.h"

namespace godwit::cli {

Result<api::JoinReply> call_join(const std::string& host, uint16_t port, const ServerAuthority& server,
                                 const api::JoinRequest& request, std::chrono::milliseconds patience) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = server.authority_pem;
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(server.node);  // the certificate names the node, wherever it is reached
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  std::string target =
      host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
  auto channel = grpc::CreateCustomChannel(target, grpc::SslCredentials(options), arguments);
  grpc::ClientContext context;
  context.set_deadline(from_now(patience));
  api::JoinReply reply;
  grpc::Status status = api::Membership::NewStub(channel)->Join(&context, request, &reply);
  if (status.ok()) return reply;
  bool refused = status.error_code() == grpc::PERMISSION_DENIED || status.error_code() == grpc::UNAUTHENTICATED ||
                 status.error_code() == grpc::ALREADY_EXISTS || status.error_code() == grpc::FAILED_PRECONDITION ||
                 status.error_code() == grpc::INVALID_ARGUMENT;
  return error(refused ? ErrorKind::denied : ErrorKind::peer_lost, status.error_message());
}

}  // namespace godwit::cli
