// `godwit switch`: ends a move's rounds of pre-copy; what they have not brought over is left to post-copy.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace godwit::cli {

void add_switch(Command root, Globals& globals) {
  auto job = std::make_shared<std::string>();
  Command command = root.command("switch", "Let a move in rounds of pre-copy go over to post-copy");
  add_globals(command, globals);
  command.argument("JOB", *job, "Name or number of the job").examples("  godwit switch sim").action([&globals, job] {
    Answer<Client> client = Client::connect(globals);
    if (!client) return complain(client.error());
    auto switched = client->switch_move(*job);
    return switched ? int{kDone} : complain(switched.error());
  });
}

}  // namespace godwit::cli
