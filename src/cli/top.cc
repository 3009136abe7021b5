// `godwit top`: nodes, jobs and moves, shown again and again.
#include <poll.h>
#include <signal.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_view.h"
#include "cli/output.h"
#include "cli/top_view.h"
#include "sys/signal_queue.h"
#include "sys/standard_stream.h"
#include "sys/terminal.h"

namespace godwit::cli {

namespace {

struct TopCommand {
  bool once = false;
  bool json = false;
  double interval_ms = 1000;
};

// The terminal's other screen, with the cursor hidden, while it lives.
class OtherScreen {
 public:
  explicit OtherScreen(bool wanted) : used_(wanted) {
    if (used_) print("\x1b[?1049h\x1b[?25l");
  }
  ~OtherScreen() {
    if (used_) print("\x1b[?25h\x1b[?1049l");
    fflush(stdout);
  }
  OtherScreen(const OtherScreen&) = delete;
  OtherScreen& operator=(const OtherScreen&) = delete;
  // Over what was there before, without a moment of emptiness.
  void draw(const std::string& text) const {
    std::string lines = "\x1b[H";
    for (char c : text) lines += c == '\n' ? "\x1b[K\n" : std::string(1, c);
    print(used_ ? lines + "\x1b[J" : text);
    fflush(stdout);
  }

 private:
  bool used_;
};

Answer<std::string> look(Client& client, const TopCommand& options, bool screen) {
  Answer<api::NodesReply> nodes = client.nodes();
  if (!nodes) return std::unexpected(nodes.error());
  Answer<api::ListJobsReply> jobs = client.list_jobs(false);
  if (!jobs) return std::unexpected(jobs.error());
  if (options.json) return top_json(*nodes, *jobs, unix_ms_now());
  auto size = screen ? sys::window_size(1) : std::nullopt;
  size_t height = size && size->rows > 1 ? size->rows - 1u : 0u;
  return top_text(*nodes, *jobs, unix_ms_now(), size ? size->columns : screen_width(), height);
}

int top(const Globals& globals, const TopCommand& options) {
  // Before the connection makes threads, which inherit what is blocked.
  Result<sys::SignalQueue> signals = sys::SignalQueue::take({SIGINT, SIGTERM});
  if (!signals) return complain(signals.error());
  Answer<Client> client = Client::connect(globals);
  if (!client) return complain(client.error());
  bool screen = !options.once && !options.json && sys::is_terminal(1);
  std::optional<Failure> failed;
  {
    OtherScreen other(screen);
    for (;;) {
      Answer<std::string> shown = look(*client, options, screen);
      if (!shown) failed = shown.error();
      if (failed) break;
      other.draw(*shown);
      if (options.once || ferror(stdout) != 0) break;
      pollfd asked{.fd = signals->fd(), .events = POLLIN, .revents = 0};
      auto waited = sys::wait_until_ready({&asked, 1}, static_cast<int>(options.interval_ms));
      if (!waited || asked.revents != 0) break;
    }
  }
  return failed ? complain(*failed) : finish_output(kDone);
}

}  // namespace

void add_top(Command root, Globals& globals) {
  auto options = std::make_shared<TopCommand>();
  Command command = root.command("top", "Show nodes, jobs and moves, again and again");
  command.flag("--once", options->once, "Show it once")
      .duration("--interval", options->interval_ms, "Time between two looks (default: 1s)")
      .flag("--json", options->json, "Print one JSON object on a line each time");
  add_globals(command, globals);
  command
      .examples(
          "  godwit top\n  godwit top --interval 200ms\n  godwit top --once --json | jq '.jobs[] | select(.move)'")
      .action([&globals, options] { return top(globals, *options); });
}

}  // namespace godwit::cli
