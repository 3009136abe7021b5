// `godwit attach`: takes part in a running job again.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/program_options.h"

namespace godwit::cli {

namespace {

struct AttachCommand {
  std::string job;
  bool no_input = false;
};

int attach(const Globals& globals, const AttachCommand& options) {
  Result<sys::SignalQueue> signals = take_session_signals();
  if (!signals) return complain(signals.error());
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<api::Job> job = client->inspect(options.job);
  if (!job) return complain(job.error());
  auto link = client->attach(
      {.job = job->id(), .console = 0, .from_end = job->state() != api::ENDED, .with_input = !options.no_input});
  Result<SessionEnd> end = run_console_session(
      *link, *signals,
      {.input = !options.no_input, .terminal = job->terminal(), .redraw = job->terminal(), .lead = false});
  return exit_code_of_session(end, options.job);
}

}  // namespace

void add_attach(Command root, Globals& globals) {
  auto options = std::make_shared<AttachCommand>();
  Command command = root.command("attach", "Take part in a running job: its output from now on, your input");
  command.flag("--no-stdin", options->no_input, "Only watch");
  add_globals(command, globals);
  command.argument("JOB", options->job, "Name or number of the job")
      .examples("  godwit attach shell          (ctrl-p ctrl-q leaves it running)\n  godwit attach --no-stdin sim")
      .action([&globals, options] { return attach(globals, *options); });
}

}  // namespace godwit::cli
