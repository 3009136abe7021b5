// `godwit ps`: the jobs.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_view.h"
#include "cli/output.h"

namespace godwit::cli {

namespace {

int ps(const Globals& globals, bool all, bool as_json) {
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<api::ListJobsReply> jobs = client->list_jobs(all);
  if (!jobs) return complain(jobs.error());
  if (!as_json) {
    print(job_table(*jobs, unix_ms_now()));
    return finish_output(kDone);
  }
  JsonWriter json;
  json.object().key("jobs").array();
  for (const api::Job& job : jobs->jobs()) add_job(json, job);
  print(json.close().close().text() + "\n");
  return finish_output(kDone);
}

}  // namespace

void add_ps(Command root, Globals& globals) {
  struct Options {
    bool all = false, json = false;
  };
  auto options = std::make_shared<Options>();
  Command command = root.command("ps", "List the jobs");
  command.flag("-a,--all", options->all, "Those that have ended, too")
      .flag("--json", options->json, "Print one JSON object");
  add_globals(command, globals);
  command.examples("  godwit ps\n  godwit ps --json | jq -r '.jobs[] | select(.node == \"node2\").name'")
      .action([&globals, options] { return ps(globals, options->all, options->json); });
}

}  // namespace godwit::cli
