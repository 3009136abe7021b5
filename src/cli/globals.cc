#include "cli/commands.h"

namespace godwit::cli {

void add_globals(Command& command, Globals& globals) {
  command.option("--connect", globals.connect, "ADDRESS", "Ask the daemon at this socket (default: see godwit(1))")
      .option("--lab", globals.lab, "NAME", "Ask this lab's node1");
}

}  // namespace godwit::cli
