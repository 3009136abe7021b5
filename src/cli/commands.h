// Every command of `godwit`, one function each: it adds the command with its options, help and action to the tree.
// `globals` is filled by parsing and must live until the command has run.
#pragma once

#include "cli/address.h"
#include "cli/command_line.h"

namespace godwit::cli {

void add_run(Command root, Globals& globals);
void add_ps(Command root, Globals& globals);
void add_move(Command root, Globals& globals);
void add_cancel(Command root, Globals& globals);
void add_switch(Command root, Globals& globals);
void add_resume(Command root, Globals& globals);
void add_report(Command root, Globals& globals);
void add_attach(Command root, Globals& globals);
void add_logs(Command root, Globals& globals);
void add_exec(Command root, Globals& globals);
void add_kill(Command root, Globals& globals);
void add_forwarding(Command root, Globals& globals);
void add_wait(Command root, Globals& globals);
void add_stop(Command root, Globals& globals);
void add_inspect(Command root, Globals& globals);
void add_events(Command root, Globals& globals);
void add_trace(Command root, Globals& globals);
void add_top(Command root, Globals& globals);
void add_nodes(Command root, Globals& globals);
void add_check(Command root);
void add_lab(Command root, Globals& globals);
void add_cluster(Command root, Globals& globals);
void add_join(Command root);
void add_version(Command root);

// The options that lead to a daemon, which every command that needs one takes.
void add_globals(Command& command, Globals& globals);

}  // namespace godwit::cli
