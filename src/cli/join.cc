// `godwit join`: makes this machine a node of a cluster, with a token from there.
//
// The node's key is made here and never leaves; the token proves who we are, the fingerprint in it whom we talk to.
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json_writer.h"
#include "cli/membership_call.h"
#include "cli/node_setup.h"
#include "cli/output.h"
#include "cli/server_authority.h"
#include "transport/certificates.h"
#include "transport/join_token.h"

namespace godwit::cli {

namespace {

constexpr std::chrono::seconds kPatience{20};

struct JoinCommand {
  std::string address;
  std::string token;
  std::string name;
  std::string own_address;
  bool json = false;
  NodePlaces places;
};

Result<std::string> join_cluster(const JoinCommand& options, const std::string& name, const std::string& own_address) {
  TRY(check_not_in_cluster(options.places));
  auto [host, port] = TRY(host_and_port(options.address));
  transport::JoinToken token = TRY(transport::parse_join_token(options.token));
  ServerAuthority server =
      TRY(find_server_authority(host, port, token.authority_fingerprint, std::chrono::steady_clock::now() + kPatience)
              .within(options.address));
  transport::KeyAndRequest key = TRY(transport::make_request(name));
  api::JoinRequest request;
  request.set_token(options.token);
  request.set_node(name);
  request.set_certificate_request(key.request_pem);
  request.add_addresses(own_address);
  api::JoinReply reply = TRY(call_join(host, port, server, request, kPatience).within(options.address));
  TRY(transport::install_node_certificate(options.places.tls(), key.key_pem, reply.certificate(), reply.authority()));
  TRY(write_settings(options.places, {{"node", name}, {"address", own_address}, {"directory", reply.directory()}}));
  return server.node;
}

int join(const JoinCommand& options) {
  Result<std::string> name = node_name(options.name);
  if (!name) return complain(name.error());
  Result<std::string> own_address = node_address(options.own_address);
  if (!own_address) return complain(own_address.error());
  Result<std::string> asked = join_cluster(options, *name, *own_address);
  if (!asked) {
    complain(asked.error());
    return asked.error().kind == ErrorKind::conflict || asked.error().kind == ErrorKind::denied ? kRefused : kFailed;
  }
  if (options.json)
    print(JsonWriter()
              .object()
              .field("node", *name)
              .field("address", *own_address)
              .field("admitted_by", *asked)
              .close()
              .text() +
          "\n");
  else
    print(*name + " belongs to the cluster now, admitted by " + *asked + ". Next: systemctl enable --now godwitd\n");
  return finish_output(kDone);
}

}  // namespace

void add_join(Command root) {
  auto options = std::make_shared<JoinCommand>();
  root.command("join", "Make this machine a node of a cluster")
      .option("--name", options->name, "NODE", "This node's name (default: the host's)")
      .option("--address", options->own_address, "IP", "Where other nodes reach this one (default: its first address)")
      .hidden_option("--config", options->places.config)
      .hidden_option("--state", options->places.state)
      .flag("--json", options->json, "Print one JSON object")
      .argument("ADDRESS", options->address, "A node of the cluster, as `godwit cluster token` printed it")
      .argument("TOKEN", options->token, "The token from there")
      .examples("  sudo godwit join 10.0.0.1 TOKEN && sudo systemctl enable --now godwitd")
      .action([options] { return join(*options); });
}

}  // namespace godwit::cli
