// godwit: the command line. Everything it does is behind one of the commands below.
#include <signal.h>

#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace godwit::cli;
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error value of the write
  Globals globals;
  CommandLine line("godwit", "Moves running programs between machines.");
  Command root = line.root();
  add_globals(root, globals);

  // jobs
  add_run(root, globals);
  add_ps(root, globals);
  add_inspect(root, globals);
  add_events(root, globals);
  add_trace(root, globals);
  add_logs(root, globals);
  // moving
  add_move(root, globals);
  add_cancel(root, globals);
  add_switch(root, globals);
  add_resume(root, globals);
  add_report(root, globals);
  // talking to jobs
  add_attach(root, globals);
  add_exec(root, globals);
  add_kill(root, globals);
  add_forwarding(root, globals);
  add_stop(root, globals);
  add_wait(root, globals);
  // nodes
  add_top(root, globals);
  add_nodes(root, globals);
  add_check(root);
  add_cluster(root, globals);
  add_join(root);
  add_lab(root, globals);
  add_version(root);

  return line.run({argv + 1, argv + argc});
}
