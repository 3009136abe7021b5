// `godwit cancel`: calls a migration off; the job goes on where it is.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace godwit::cli {

void add_cancel(Command root, Globals& globals) {
  auto job = std::make_shared<std::string>();
  Command command = root.command("cancel", "Call off a move; the job goes on where it is");
  add_globals(command, globals);
  command.argument("JOB", *job, "Name or number of the job").examples("  godwit cancel sim").action([&globals, job] {
    Answer<Client> client = Client::connect(globals);
    if (!client) return complain(client.error());
    auto cancelled = client->cancel_move(*job);
    return cancelled ? int{kDone} : complain(cancelled.error());
  });
}

}  // namespace godwit::cli
