// `godwit events`: what happens to jobs and nodes, as it happens.
#include <fmt/format.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_view.h"
#include "cli/output.h"
#include "cli/table.h"

namespace godwit::cli {

namespace {

std::string event_text(const api::Event& event) {
  std::string who = event.name().empty() || event.name() == event.job() ? event.job() : event.name();
  std::string line = fmt::format("{}  {:<10}  {:<16}  {}  {}", local_time(event.unix_ms()), event.node(), who,
                                 event.what(), event.detail());
  line.erase(line.find_last_not_of(' ') + 1);
  return printable(line) + "\n";
}

std::string event_json(const api::Event& event) {
  JsonWriter json;
  return json.object()
             .field("unix_ms", event.unix_ms())
             .field("job", event.job())
             .field("name", event.name())
             .field("node", event.node())
             .field("what", event.what())
             .field("detail", event.detail())
             .close()
             .text() +
         "\n";
}

}  // namespace

void add_events(Command root, Globals& globals) {
  struct Options {
    std::string job;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  Command command = root.command("events", "Print what happens to jobs and nodes, as it happens");
  command.flag("--json", options->json, "Print a JSON object on each line");
  add_globals(command, globals);
  command.optional_argument("JOB", options->job, "Only what happens to this job")
      .examples("  godwit events\n  godwit events --json sim | jq .what")
      .action([&globals, options] {
        Answer<Client> client = Client::connect(globals);
        if (!client) return complain(client.error());
        Answer<void> done = client->events(options->job, [&](const api::Event& event) {
          print(options->json ? event_json(event) : event_text(event));
          return fflush(stdout) == 0;
        });
        if (!done) return complain(done.error());
        return finish_output(kDone);
      });
}

}  // namespace godwit::cli
