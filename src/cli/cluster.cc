// `godwit cluster`: makes a cluster, and the tokens with which machines join it.
#include <fmt/format.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/json_writer.h"
#include "cli/node_setup.h"
#include "cli/output.h"
#include "transport/certificates.h"

namespace godwit::cli {

namespace {

struct ClusterOptions {
  double valid_ms = 3'600'000;
  bool json = false;
  std::string name;
  std::string address;
  NodePlaces places;
};

Result<void> make_cluster(const ClusterOptions& options, const std::string& name, const std::string& address) {
  TRY(check_not_in_cluster(options.places));
  TRY(transport::create_authority(options.places.tls()));
  const std::string addresses[] = {address};
  TRY(transport::issue_node_certificate(options.places.tls(), options.places.tls(), name, addresses));
  return write_settings(options.places, {{"node", name}, {"address", address}});
}

int init(const ClusterOptions& options) {
  Result<std::string> name = node_name(options.name);
  if (!name) return complain(name.error());
  Result<std::string> address = node_address(options.address);
  if (!address) return complain(address.error());
  if (Result<void> made = make_cluster(options, *name, *address); !made) {
    complain(made.error());
    return made.error().kind == ErrorKind::conflict || made.error().kind == ErrorKind::denied ? kRefused : kFailed;
  }
  if (options.json)
    print(JsonWriter().object().field("node", *name).field("address", *address).close().text() + "\n");
  else
    print(
        fmt::format("{} is the first node of a new cluster, at {}. Next: systemctl enable --now godwitd\n"
                    "`godwit cluster token` then prints what to type on a machine that is to join.\n",
                    *name, *address));
  return finish_output(kDone);
}

int token(const Globals& globals, const ClusterOptions& options) {
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<api::TokenReply> reply = client->token(static_cast<uint32_t>(options.valid_ms / 1000));
  if (!reply) return complain(reply.error());
  if (options.json)
    print(JsonWriter().object().field("token", reply->token()).field("address", reply->address()).close().text() +
          "\n");
  else
    print("godwit join " + reply->address() + " " + reply->token() + "\n");
  return finish_output(kDone);
}

}  // namespace

void add_cluster(Command root, Globals& globals) {
  auto options = std::make_shared<ClusterOptions>();
  Command group = root.command("cluster", "Make a cluster, or a token to join it");
  group.command("init", "Make this machine the first node of a new cluster")
      .option("--name", options->name, "NODE", "This node's name (default: the host's)")
      .option("--address", options->address, "IP", "Where other nodes reach this one (default: its first address)")
      .hidden_option("--config", options->places.config)
      .hidden_option("--state", options->places.state)
      .flag("--json", options->json, "Print one JSON object")
      .examples("  sudo godwit cluster init --address 10.0.0.1 && sudo systemctl enable --now godwitd")
      .action([options] { return init(*options); });
  Command command = group.command("token", "Print the command with which one machine can join, once");
  command.duration("--valid", options->valid_ms, "How long the token can be used (default: 1h)")
      .flag("--json", options->json, "Print one JSON object");
  add_globals(command, globals);
  command.examples("  ssh node2 sudo $(sudo godwit cluster token)").action([&globals, options] {
    return token(globals, *options);
  });
}

}  // namespace godwit::cli
