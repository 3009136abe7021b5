// `godwit forwarding`: chooses how messages find a job when it moves.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace godwit::cli {

void add_forwarding(Command root, Globals& globals) {
  struct Options {
    std::string job, mechanism;
  };
  auto options = std::make_shared<Options>();
  Command command = root.command("forwarding", "Choose how messages find a job when it moves");
  add_globals(command, globals);
  command.argument("JOB", options->job, "Name or number of the job")
      .argument("MECHANISM", options->mechanism, "update, traversal, origin, resend or resend-notify")
      .examples("  godwit forwarding web update\n  godwit inspect web        (shows mechanism, partners and counts)")
      .action([&globals, options] {
        Answer<Client> client = Client::connect(globals);
        if (!client) return complain(client.error());
        Answer<void> done = client->set_forwarding(options->job, options->mechanism);
        return done ? kDone : complain(done.error());
      });
}

}  // namespace godwit::cli
