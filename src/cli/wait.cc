// `godwit wait`: waits for a job as a shell waits for its child.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/json_writer.h"
#include "cli/output.h"

namespace godwit::cli {

namespace {

struct WaitCommand {
  std::string job;
  double timeout_ms = 0;
  bool json = false;
};

int wait(const Globals& globals, const WaitCommand& options) {
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<int> status = client->wait(options.job, options.timeout_ms);
  if (!status) return complain(status.error());
  int exit_code = exit_code_of_wait_status(*status);
  if (options.json)
    print(JsonWriter()
              .object()
              .field("job", options.job)
              .field("exit_code", exit_code)
              .field("signal", *status & 0x7f)
              .close()
              .text() +
          "\n");
  return finish_output(exit_code);
}

}  // namespace

void add_wait(Command root, Globals& globals) {
  auto options = std::make_shared<WaitCommand>();
  Command command = root.command("wait", "Wait until a job ends and exit as its program did");
  command.duration("--timeout", options->timeout_ms, "Wait no longer (exits with 1; default: for ever)")
      .flag("--json", options->json, "Print one JSON object");
  add_globals(command, globals);
  command.argument("JOB", options->job, "Name or number of the job")
      .examples("  godwit wait sim && echo done")
      .action([&globals, options] { return wait(globals, *options); });
}

}  // namespace godwit::cli
