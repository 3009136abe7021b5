// `godwit inspect`: everything known about one job.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_view.h"
#include "cli/output.h"

namespace godwit::cli {

namespace {

int inspect(const Globals& globals, const std::string& name, bool as_json) {
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<api::Job> job = client->inspect(name);
  if (!job) return complain(job.error());
  if (as_json) {
    JsonWriter json;
    add_job(json, *job);
    print(json.text() + "\n");
  } else {
    print(job_text(*job, unix_ms_now(), screen_width()));
  }
  return finish_output(kDone);
}

}  // namespace

void add_inspect(Command root, Globals& globals) {
  struct Options {
    std::string job;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  Command command = root.command("inspect", "Show everything known about one job");
  command.flag("--json", options->json, "Print one JSON object");
  add_globals(command, globals);
  command.argument("JOB", options->job, "Name or number of the job")
      .examples("  godwit inspect sim\n  godwit inspect sim --json | jq .last_move.freeze_ms")
      .action([&globals, options] { return inspect(globals, options->job, options->json); });
}

}  // namespace godwit::cli
