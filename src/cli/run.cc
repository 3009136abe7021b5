// `godwit run`: starts a job, and unless told otherwise stays with it like a shell with its child.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/program_options.h"
#include "cli/publication.h"

namespace godwit::cli {

namespace {

struct RunOptions : ProgramOptions {
  bool detach = false;
  bool json = false;
  std::string name;
  std::string node;
  std::string forwarding;
  bool no_compress = false;
  std::vector<std::string> publish;
};

Result<api::RunRequest> request_of(const RunOptions& options) {
  api::RunRequest request;
  request.mutable_command()->Assign(options.command.begin(), options.command.end());
  auto environment = TRY(merged_environment(own_environment(), options.environment));
  request.mutable_environment()->Assign(environment.begin(), environment.end());
  request.set_working_directory(options.directory);
  request.set_name(options.name);
  request.set_node(options.node);
  request.set_user(options.user);
  bool uncompressed = options.no_compress && options.forwarding == "traversal";
  if (options.no_compress && !uncompressed)
    return error(ErrorKind::corrupt, "--no-compress goes with --forwarding traversal");
  request.set_forwarding(options.forwarding + (uncompressed ? "-uncompressed" : ""));
  for (const std::string& text : options.publish) *request.add_publish() = TRY(parse_publication(text));
  request.set_terminal(options.terminal);
  if (options.terminal) {
    sys::WindowSize size = new_terminal_size();
    request.set_rows(size.rows);
    request.set_columns(size.columns);
  }
  // A job that is left to itself keeps its input open, so that `attach` can type into it.
  request.set_open_stdin(options.input);
  return request;
}

Answer<api::RunReply> start(Client& client, api::RunRequest& request) {
  if (request.working_directory().empty()) request.set_working_directory(default_directory(client.in_lab()));
  return client.run(request);
}

int start_detached(const Globals& globals, api::RunRequest& request, bool json) {
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<api::RunReply> started = start(*client, request);
  if (!started) return complain(started.error());
  if (json)
    print(JsonWriter()
              .object()
              .field("job", started->job())
              .field("name", started->name())
              .field("node", started->node())
              .field("pid", started->pid())
              .close()
              .text() +
          "\n");
  else
    print(started->job() + "\n");
  return finish_output(kDone);
}

int run(const Globals& globals, const RunOptions& options) {
  Result<api::RunRequest> request = request_of(options);
  if (!request) {
    complain(request.error());
    return kUsage;
  }
  if (options.detach) return start_detached(globals, *request, options.json);
  if (options.json) {
    complain("--json goes with --detach: an attached program's output is its own");
    return kUsage;
  }
  // Before the connection makes threads, which inherit what is blocked.
  Result<sys::SignalQueue> signals = take_session_signals();
  if (!signals) return complain(signals.error());
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<api::RunReply> started = start(*client, *request);
  if (!started) return complain(started.error());
  auto link = client->attach({.job = started->job(), .console = 0, .from_end = false, .with_input = options.input});
  Result<SessionEnd> end = run_console_session(
      *link, *signals, {.input = options.input, .terminal = options.terminal, .redraw = false, .lead = true});
  return exit_code_of_session(end, started->name().empty() ? started->job() : started->name());
}

}  // namespace

void add_run(Command root, Globals& globals) {
  auto options = std::make_shared<RunOptions>();
  Command command = root.command("run", "Start a program as a job");
  command.flag("-d,--detach", options->detach, "Leave the job to itself and print its number")
      .option("-n,--name", options->name, "NAME", "A name for the job")
      .option("--on", options->node, "NODE", "The node to start on (default: the daemon chooses)");
  command
      .option("--forwarding", options->forwarding, "MECHANISM",
              "How messages find it when it moves: update (default), traversal, origin, resend, resend-notify")
      .flag("--no-compress", options->no_compress,
            "With traversal: chains of links stay as they are when they are used")
      .repeated("-p,--publish", options->publish, "[NODEPORT:]PORT[/tcp|udp]",
                "A port of every node that leads to the job, wherever it is; may be repeated");
  add_program_options(command, *options);
  add_globals(command, globals);
  command.flag("--json", options->json, "With -d: print one JSON object")
      .verbatim("COMMAND", options->command, "Program and arguments")
      .examples(
          "  godwit run -d --name sim -- ./simulate big.cfg\n"
          "  godwit run -d --publish 8080:80 -- nginx       (clients ask any node's port 8080)\n"
          "  godwit run -it --name shell -- bash        (ctrl-p ctrl-q leaves it running)\n"
          "  tar c src | godwit run -i -- xz -9 > src.tar.xz")
      .action([&globals, options] { return run(globals, *options); });
}

}  // namespace godwit::cli
