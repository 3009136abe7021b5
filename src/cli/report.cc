// `godwit report`: how the move went that brought a job where it is.
#include <fcntl.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_view.h"
#include "cli/output.h"
#include "cli/report_svg.h"
#include "sys/byte_stream.h"

namespace godwit::cli {

namespace {

struct ReportCommand {
  std::string job;
  std::string svg;
  bool json = false;
};

Result<void> write_drawing(const std::string& path, const std::string& drawing) {
  UniqueFd file = TRY(sys::open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644).within(path));
  return sys::write_all(file.get(), drawing).within(path);
}

int report(const Globals& globals, const ReportCommand& options) {
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  Answer<api::Job> job = client->inspect(options.job);
  if (!job) return complain(job.error());
  if (!job->has_last_move()) {
    return complain(Failure{"there is no report of a move of " + job->name() + " to " + job->node() +
                                "; it has not moved since it was started",
                            kRefused});
  }
  MoveOutcome outcome = outcome_of(job->last_move(), job->name());
  if (options.svg == "-") {
    print(report_svg(outcome));
    return finish_output(kDone);
  }
  if (!options.svg.empty()) {
    auto written = write_drawing(options.svg, report_svg(outcome));
    if (!written) return complain(written.error());
  }
  if (options.json) {
    print(move_json(outcome, Detail::full) + "\n");
  } else if (options.svg.empty()) {
    size_t width = screen_width();
    std::string rounds = rounds_table(outcome.report);
    print(moved_text(outcome, width == 0 ? 80 : width) + (rounds.empty() ? "" : "\n" + rounds));
  }
  return finish_output(kDone);
}

}  // namespace

void add_report(Command root, Globals& globals) {
  auto options = std::make_shared<ReportCommand>();
  Command command = root.command("report", "Show how a job's last move went");
  command.option("--svg", options->svg, "FILE", "Draw it over time into FILE instead (-: standard output)")
      .flag("--json", options->json, "Print one JSON object, with every round and samples over time");
  add_globals(command, globals);
  command.argument("JOB", options->job, "Name or number of the job")
      .examples("  godwit report sim\n  godwit report sim --svg sim.svg\n  godwit report sim --json | jq .rounds_made")
      .action([&globals, options] { return report(globals, *options); });
}

}  // namespace godwit::cli
