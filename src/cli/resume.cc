// `godwit resume`: lets a move whose nodes have lost each other connect again now, with all the patience of the
// beginning.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace godwit::cli {

void add_resume(Command root, Globals& globals) {
  auto job = std::make_shared<std::string>();
  Command command = root.command("resume", "Let a move that is cut off from its memory connect again now");
  add_globals(command, globals);
  command.argument("JOB", *job, "Name or number of the job").examples("  godwit resume sim").action([&globals, job] {
    Answer<Client> client = Client::connect(globals);
    if (!client) return complain(client.error());
    auto resumed = client->resume_move(*job);
    return resumed ? int{kDone} : complain(resumed.error());
  });
}

}  // namespace godwit::cli
