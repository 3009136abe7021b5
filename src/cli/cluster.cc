// `godwit cluster`: makes a cluster, and the tokens with which machines join it.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/json_writer.h"
#include "cli/output.h"

namespace godwit::cli {

namespace {

struct ClusterOptions {
  double valid_ms = 3'600'000;
  bool json = false;
};

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
  Command command = group.command("token", "Print the command with which one machine can join, once");
  command.duration("--valid", options->valid_ms, "How long the token can be used (default: 1h)")
      .flag("--json", options->json, "Print one JSON object");
  add_globals(command, globals);
  command.examples("  ssh node2 sudo $(godwit cluster token)").action([&globals, options] {
    return token(globals, *options);
  });
}

}  // namespace godwit::cli
