// `godwit kill`: sends a signal to jobs.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/signal_name.h"

namespace godwit::cli {

namespace {

struct KillCommand {
  std::vector<std::string> jobs;
  std::string signal = "TERM";
  bool all = false;
};

int kill_jobs(const Globals& globals, const KillCommand& options) {
  Result<int> number = signal_number(options.signal);
  if (!number) {
    complain(number.error());
    return kUsage;
  }
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  int exit_code = kDone;
  for (const std::string& job : options.jobs) {
    api::KillRequest request;
    request.set_job(job);
    request.set_signal(*number);
    request.set_all(options.all);
    if (auto done = client->kill(request); !done) exit_code = complain(done.error());
  }
  return exit_code;
}

}  // namespace

void add_kill(Command root, Globals& globals) {
  auto options = std::make_shared<KillCommand>();
  Command command = root.command("kill", "Send a signal to jobs");
  command.option("-s,--signal", options->signal, "SIGNAL", "Name or number (default: TERM)")
      .flag("--all", options->all, "To every process of the job, not only to its program");
  add_globals(command, globals);
  command.arguments("JOB", options->jobs, "Names or numbers of jobs")
      .examples("  godwit kill sim\n  godwit kill -s USR1 sim\n  godwit kill -s KILL --all sim")
      .action([&globals, options] { return kill_jobs(globals, *options); });
}

}  // namespace godwit::cli
