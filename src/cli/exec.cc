// `godwit exec`: another program inside a job, on a console of its own.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/program_options.h"

namespace godwit::cli {

namespace {

struct ExecOptions : ProgramOptions {
  std::string job;
};

Result<api::ExecRequest> request_of(const ExecOptions& options) {
  api::ExecRequest request;
  request.set_job(options.job);
  request.mutable_command()->Assign(options.command.begin(), options.command.end());
  auto environment = TRY(merged_environment(own_environment(), options.environment));
  request.mutable_environment()->Assign(environment.begin(), environment.end());
  request.set_working_directory(options.directory);  // empty: that of the job
  request.set_user(options.user);
  request.set_terminal(options.terminal);
  if (options.terminal) {
    sys::WindowSize size = new_terminal_size();
    request.set_rows(size.rows);
    request.set_columns(size.columns);
  }
  request.set_open_stdin(options.input);
  return request;
}

int exec(const Globals& globals, const ExecOptions& options) {
  Result<api::ExecRequest> request = request_of(options);
  if (!request) {
    complain(request.error());
    return kUsage;
  }
  Result<sys::SignalQueue> signals = take_session_signals();
  if (!signals) return complain(signals.error());
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<api::ExecReply> started = client->exec(*request);
  if (!started) return complain(started.error());
  auto link = client->attach(
      {.job = options.job, .console = started->console(), .from_end = false, .with_input = options.input});
  Result<SessionEnd> end = run_console_session(
      *link, *signals, {.input = options.input, .terminal = options.terminal, .redraw = false, .lead = true});
  return exit_code_of_session(end, options.job);
}

}  // namespace

void add_exec(Command root, Globals& globals) {
  auto options = std::make_shared<ExecOptions>();
  Command command = root.command("exec", "Start another program inside a job");
  add_program_options(command, *options);
  add_globals(command, globals);
  command.argument("JOB", options->job, "Name or number of the job")
      .verbatim("COMMAND", options->command, "Program and arguments")
      .examples("  godwit exec sim -- ps aux\n  godwit exec -it sim -- bash")
      .action([&globals, options] { return exec(globals, *options); });
}

}  // namespace godwit::cli
