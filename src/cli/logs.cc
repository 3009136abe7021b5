// `godwit logs`: what a job has written, and on wish what it writes from now on.
#include <signal.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "sys/standard_stream.h"

namespace godwit::cli {

namespace {

struct LogsCommand {
  std::string job;
  bool follow = false;
  bool json = false;
  unsigned console = 0;
};

std::string output_json(const api::Output& output) {
  JsonWriter json;
  return json.object()
             .field("stream", output.stream() == 2 ? "stderr" : "stdout")
             .field("text", output.data())
             .field("unix_ms", output.realtime_ns() / 1'000'000)
             .field("next_offset", output.next_offset())
             .close()
             .text() +
         "\n";
}

int logs(const Globals& globals, const LogsCommand& options) {
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  api::LogsRequest request;
  request.set_job(options.job);
  request.set_console(options.console);
  request.set_follow(options.follow);
  bool writable = true;
  Answer<void> done = client->logs(request, [&](const api::Output& output) {
    if (output.data().empty()) return true;
    // straight to the descriptor: whoever follows wants each line when it comes
    writable = options.json ? sys::write_output(1, output_json(output)).has_value()
                            : sys::write_output(output.stream() == 2 ? 2 : 1, output.data()).has_value();
    return writable;
  });
  if (!done) return complain(done.error());
  return writable ? kDone : 128 + SIGPIPE;
}

}  // namespace

void add_logs(Command root, Globals& globals) {
  auto options = std::make_shared<LogsCommand>();
  Command command = root.command("logs", "Print what a job has written");
  command.flag("-f,--follow", options->follow, "Go on until the job ends")
      .number("--console", options->console, 0, UINT32_MAX - 1, "Of this `exec` instead of the job's own program (0)")
      .flag("--json", options->json, "Print a JSON object on each line");
  add_globals(command, globals);
  command.argument("JOB", options->job, "Name or number of the job")
      .examples("  godwit logs sim\n  godwit logs -f sim | grep -i error")
      .action([&globals, options] { return logs(globals, *options); });
}

}  // namespace godwit::cli
