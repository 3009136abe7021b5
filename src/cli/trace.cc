// `godwit trace`: the packets of a job's connections on their way through the nodes, as it happens.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/packet_view.h"

namespace godwit::cli {

void add_trace(Command root, Globals& globals) {
  struct Options {
    std::string job;
    unsigned port = 0, count = 0;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  Command command =
      root.command("trace", "Follow the packets of a job's connections through the nodes, also while it moves");
  command.number("--port", options->port, 1, 65535, "Only packets from or to this port")
      .number("--count", options->count, 1, 1'000'000'000, "End after so many packets")
      .flag("--json", options->json, "Print a JSON object on each line");
  add_globals(command, globals);
  command.argument("JOB", options->job, "Its name or identifier")
      .examples("  godwit trace web --port 8080\n  godwit trace web --json | jq 'select(.passage == \"waited\")'")
      .action([&globals, options] {
        Answer<Client> client = Client::connect(globals);
        if (!client) return complain(client.error());
        PacketView view;
        unsigned printed = 0;
        if (!options->json) print(PacketView::title());
        Answer<void> done = client->trace(options->job, options->port, [&](const api::TracedPacket& packet) {
          print(options->json ? packet_json(packet) : view.line(packet));
          bool enough = options->count != 0 && ++printed >= options->count;
          return fflush(stdout) == 0 && !enough;
        });
        if (!done) return complain(done.error());
        return finish_output(kDone);
      });
}

}  // namespace godwit::cli
