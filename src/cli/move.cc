// `godwit move`: moves a running job to another node.
#include <fmt/format.h>

#include <thread>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_view.h"
#include "cli/move_report.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "lab/network.h"
#include "sys/signal_queue.h"
#include "sys/standard_stream.h"
#include "sys/wake_up.h"

namespace godwit::cli {

namespace {

struct MoveCommand {
  std::string job;
  std::string to;
  std::string memory;
  bool dry_run = false;
  double timeout_ms = 0;
  double max_freeze_ms = 0;
  unsigned max_rounds = 0;
  std::string on_timeout;
  bool cache = false;
  bool mirror = false;
  std::string bandwidth;
  uint64_t bytes_per_second = 0;
  unsigned streams = 0;
  std::string progress = "auto";
  bool json = false;
};

// While it lives, the first SIGINT or SIGTERM calls the move off: the job goes on where it is. The move then ends with
// an event like any other.
class CancelOnSignal {
 public:
  static Result<CancelOnSignal> watch(Client& client, sys::SignalQueue& signals, const std::string& job) {
    return CancelOnSignal(client, signals, job, TRY(sys::WakeUp::make()));
  }
  ~CancelOnSignal() {
    if (!thread_.joinable()) return;
    shared_->done.set();
    thread_.join();
  }
  CancelOnSignal(CancelOnSignal&&) noexcept = default;
  CancelOnSignal& operator=(CancelOnSignal&&) = delete;

 private:
  struct Shared {
    sys::WakeUp done;
  };
  CancelOnSignal(Client& client, sys::SignalQueue& signals, const std::string& job, sys::WakeUp done)
      : shared_(std::make_shared<Shared>(std::move(done))) {
    thread_ = std::thread([&client, &signals, job, shared = shared_] {
      pollfd entries[] = {{.fd = shared->done.fd(), .events = POLLIN, .revents = 0},
                          {.fd = signals.fd(), .events = POLLIN, .revents = 0}};
      while (sys::wait_until_ready(entries, -1) && entries[0].revents == 0) {
        if (!signals.next()) continue;
        if (auto cancelled = client.cancel_move(job); !cancelled) complain(cancelled.error());
      }
    });
  }
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

// Takes over what an event says; progress is shown.
void take_event(const api::MoveEvent& event, MoveOutcome& outcome, ProgressDisplay& display) {
  switch (event.event_case()) {
    case api::MoveEvent::kProgress: display.show(event.progress()); return;
    case api::MoveEvent::kRefused:
      outcome.state = "refused";
      outcome.report = event.refused().report();
      outcome.refusals = {event.refused().refusals().begin(), event.refused().refusals().end()};
      outcome.message = fmt::format("{} cannot be moved to {}; nothing was touched, it runs on at {}", outcome.job,
                                    outcome.to, outcome.from);
      return;
    case api::MoveEvent::kFailed: {
      const auto& failed = event.failed();
      outcome.state = failed.source_intact() ? "failed" : "lost";
      std::string stage = failed.stage().empty() ? "" : " (" + failed.stage() + ")";
      outcome.message = failed.source_intact()
                            ? fmt::format("moving {} to {} failed: {}{}; the job is at {} as before", outcome.job,
                                          outcome.to, failed.message(), stage, outcome.from)
                            : fmt::format("moving {} to {} failed: {}{}; the job is lost", outcome.job, outcome.to,
                                          failed.message(), stage);
      return;
    }
    case api::MoveEvent::kMoved: outcome = outcome_of(event.moved(), outcome.name); return;
    case api::MoveEvent::kDryRun:
      outcome.state = "dry_run";
      outcome.report = event.dry_run().report();
      outcome.refusals = {event.dry_run().refusals().begin(), event.dry_run().refusals().end()};
      return;
    case api::MoveEvent::EVENT_NOT_SET: return;
  }
}

// The call itself failed: what that means for the move.
void take_failure(const Failure& failure, MoveOutcome& outcome) {
  outcome.message = failure.sentence;
  outcome.state = failure.exit_code == kLost                                     ? "lost"
                  : failure.exit_code == kRefused || failure.exit_code == kUsage ? "refused"
                                                                                 : "failed";
}

void show(const MoveOutcome& outcome, bool as_json) {
  size_t width = screen_width();
  if (!outcome.message.empty()) complain(outcome.message);
  if (as_json)
    print(move_json(outcome) + "\n");
  else if (outcome.state == "moved")
    print(moved_text(outcome, width == 0 ? 80 : width));
  else if (outcome.state == "dry_run")
    print(dry_run_text(outcome, width));
  else if (!outcome.refusals.empty())
    fprintf(stderr, "\n%s", refusal_table(outcome.refusals, width).c_str());
}

api::MoveRequest request_of(const MoveCommand& options, const std::string& job) {
  api::MoveRequest request;
  request.set_job(job);
  request.set_to(options.to);
  request.set_memory(options.memory);
  request.set_dry_run(options.dry_run);
  request.set_timeout_ms(static_cast<uint32_t>(options.timeout_ms));
  request.set_max_freeze_ms(static_cast<uint32_t>(options.max_freeze_ms));
  request.set_max_rounds(options.max_rounds);
  request.set_on_timeout(options.on_timeout);
  request.set_bandwidth(options.bytes_per_second);
  request.set_cache(options.cache);
  request.set_mirror(options.mirror);
  request.set_streams(options.streams);
  return request;
}

int move(const Globals& globals, const MoveCommand& options) {
  MoveOutcome outcome{.job = options.job,
                      .name = {},
                      .from = {},
                      .to = options.to,
                      .method = options.memory.empty() ? "hybrid" : options.memory};
  auto end = [&](const Failure& failure) {
    take_failure(failure, outcome);
    show(outcome, options.json);
    return finish_output(exit_code_of_move(outcome));
  };
  // Before the connection makes threads, which inherit what is blocked.
  Result<sys::SignalQueue> signals = sys::SignalQueue::take({SIGINT, SIGTERM});
  if (!signals) return complain(signals.error());
  Answer<Client> client = Client::connect(globals);
  if (!client) return end(client.error());
  Answer<api::Job> job = client->inspect(options.job);
  if (!job) return end(job.error());
  outcome.job = job->id();
  outcome.name = job->name();
  outcome.from = job->node();

  ProgressDisplay display(progress_style(options.progress, sys::is_terminal(2)), outcome.job,
                          (outcome.name.empty() ? outcome.job : outcome.name) + " to " + options.to);
  Answer<void> done;
  {
    Result<CancelOnSignal> cancel = CancelOnSignal::watch(*client, *signals, outcome.job);
    if (!cancel) return complain(cancel.error());
    done = client->move(request_of(options, outcome.job),
                        [&](const api::MoveEvent& event) { take_event(event, outcome, display); });
  }
  display.clear();
  if (!done && outcome.state.empty()) return end(done.error());
  if (outcome.state.empty())
    return end(
        {"the daemon did not say how the move ended; `godwit inspect " + outcome.job + "` shows where the job is",
         kFailed});
  show(outcome, options.json);
  return finish_output(exit_code_of_move(outcome));
}

}  // namespace

void add_move(Command root, Globals& globals) {
  auto options = std::make_shared<MoveCommand>();
  Command command = root.command("move", "Move a running job to another node");
  command.required_option("--to", options->to, "NODE", "The destination")
      .choice("--memory", options->memory, {"total", "precopy", "postcopy", "hybrid"},
              "How the memory travels (default: hybrid)")
      .flag("--dry-run", options->dry_run,
            "Touch nothing; say what would move, what is in the way and how long it takes")
      .duration("--timeout", options->timeout_ms, "Give up when the whole move takes longer")
      .duration("--max-freeze", options->max_freeze_ms, "The freeze that rounds of pre-copy aim at (default: 10ms)")
      .number("--max-rounds", options->max_rounds, 1, 1000, "The most rounds of pre-copy (default: 30)")
      .choice("--on-timeout", options->on_timeout, {"postcopy", "throttle", "cancel", "freeze"},
              "When rounds do not get there (default: postcopy for hybrid, cancel for precopy)")
      .option("--bandwidth", options->bandwidth, "RATE",
              "The most that memory may take of the link while the job runs, e.g. 200mbit (default: no limit)")
      .flag("--cache", options->cache,
            "Leave the memory's content at the node it comes from, and send nothing that an earlier visit left")
      .flag("--mirror", options->mirror,
            "Write what stays behind to the disk there before the switchover: it survives a crash of that node")
      .number("--streams", options->streams, 1, 16,
              "Connections that memory travels by while the job runs (default: as many as are of use)")
      .choice("--progress", options->progress, {"auto", "plain", "json", "none"},
              "What to show meanwhile (default: auto)")
      .flag("--json", options->json, "Print one JSON object");
  add_globals(command, globals);
  command.argument("JOB", options->job, "Name or number of the job")
      .examples(
          "  godwit move sim --to node2\n"
          "  godwit move sim --to node2 --dry-run\n"
          "  godwit move sim --to node2 --memory precopy --max-freeze 5ms\n"
          "  godwit move sim --to node2 --memory postcopy\n"
          "  godwit move sim --to node2 --memory precopy --on-timeout throttle\n"
          "  godwit move sim --to node2 --json | jq .freeze_ms")
      .action([&globals, options] {
        if (options->bandwidth.empty()) return move(globals, *options);
        Result<uint64_t> bits = lab::parse_link_rate(options->bandwidth);
        if (!bits || *bits < 8) {
          complain("--bandwidth is a rate like 1gbit, 200mbit or 64kbit, not " + options->bandwidth);
          return int{kUsage};
        }
        options->bytes_per_second = *bits / 8;
        return move(globals, *options);
      });
}

}  // namespace godwit::cli
