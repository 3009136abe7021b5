// `godwit stop`: ends jobs, gently first.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace godwit::cli {

namespace {

struct StopCommand {
  std::vector<std::string> jobs;
  double grace_ms = 10'000;
};

int stop(const Globals& globals, const StopCommand& options) {
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  int exit_code = kDone;
  for (const std::string& job : options.jobs)
    if (auto done = client->stop(job, static_cast<uint32_t>(options.grace_ms)); !done)
      exit_code = complain(done.error());
  return exit_code;
}

}  // namespace

void add_stop(Command root, Globals& globals) {
  auto options = std::make_shared<StopCommand>();
  Command command = root.command("stop", "End jobs: SIGTERM, and SIGKILL for what is left after a while");
  command.duration("--grace", options->grace_ms, "How long to wait before killing (default: 10s)");
  add_globals(command, globals);
  command.arguments("JOB", options->jobs, "Names or numbers of jobs")
      .examples("  godwit stop sim\n  godwit stop --grace 1m database")
      .action([&globals, options] { return stop(globals, *options); });
}

}  // namespace godwit::cli
