// `godwit lab`: nodes on one machine, each with its own daemon (src/lab).
#include "lab/lab.h"

#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>

#include "cli/commands.h"
#include "cli/daemon_answers.h"
#include "cli/exit_code.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/table.h"

namespace godwit::cli {

namespace {

struct LabOptions {
  bool json = false;
  unsigned nodes = 2;
  std::string link;
  bool routed = false;
  std::string fault;
  bool debug = false;
  std::string node;
  std::vector<std::string> command;
};

// The lab that is meant: --lab, $GODWIT_LAB, else the default one.
std::string chosen_lab(const Globals& globals) {
  if (!globals.lab.empty()) return globals.lab;
  const char* named = getenv("GODWIT_LAB");
  return named != nullptr && *named != '\0' ? named : lab::kDefaultLab;
}

// The same for a lab that should be there: without a name the only one there is.
std::string existing_lab(const Globals& globals) {
  std::string chosen = chosen_lab(globals);
  std::vector<std::string> names = lab::names();
  return chosen == lab::kDefaultLab && names.size() == 1 ? names[0] : chosen;
}

void add_status(JsonWriter& json, const lab::LabStatus& status) {
  json.object().field("lab", status.lab).field("link", status.link).field("routed", status.routed).key("nodes").array();
  for (const lab::NodeStatus& node : status.nodes)
    json.object()
        .field("node", node.name)
        .field("address", node.address)
        .field("running", node.running)
        .field("init_pid", node.init_pid)
        .field("daemon_running", node.daemon_running)
        .field("daemon_pid", node.daemon_pid)
        .field("daemon_answers", node.daemon_answers)
        .field("processes", node.processes)
        .field("socket", node.socket)
        .field("log", node.log)
        .close();
  json.close().close();
}

std::string status_text(const lab::LabStatus& status) {
  Table table(
      {{"LAB"}, {"NODE"}, {"ADDRESS"}, {"STATE"}, {"DAEMON"}, {"PROCESSES", Table::Align::right}, {"DAEMON'S LOG"}});
  for (const lab::NodeStatus& node : status.nodes)
    table.add({status.lab, node.name, node.address, node.running ? "running" : "down",
               node.daemon_answers   ? fmt::format("pid {}", node.daemon_pid)
               : node.daemon_running ? fmt::format("pid {}, silent", node.daemon_pid)
                                     : "down",
               std::to_string(node.processes), node.log});
  return table.text();
}

int up(const Globals& globals, const LabOptions& options) {
  lab::Options wanted{.lab = chosen_lab(globals),
                      .nodes = options.nodes,
                      .link = options.link,
                      .routed = options.routed,
                      .fault = options.fault,
                      .debug = options.debug,
                      .programs = {},
                      .answers = daemon_answers};
  Result<lab::LabStatus> status = lab::up(wanted);
  if (!status) return complain(status.error());
  if (options.json) {
    JsonWriter json;
    add_status(json, *status);
    print(json.text() + "\n");
  } else {
    print(status_text(*status));
  }
  return finish_output(kDone);
}

int down(const Globals& globals, const LabOptions& options) {
  std::string name = existing_lab(globals);
  Result<bool> was_there = lab::down(name);
  if (!was_there) return complain(was_there.error());
  if (options.json)
    print(JsonWriter().object().field("lab", name).field("was_there", *was_there).close().text() + "\n");
  else if (!*was_there)
    print("There is no lab called " + name + ".\n");
  return finish_output(kDone);
}

int show_status(const Globals& globals, const LabOptions& options) {
  bool named = !globals.lab.empty() || getenv("GODWIT_LAB") != nullptr;
  std::vector<std::string> names = named ? std::vector{chosen_lab(globals)} : lab::names();
  JsonWriter json;
  json.object().key("labs").array();
  std::string text;
  for (const std::string& name : names) {
    Result<lab::LabStatus> status = lab::status(name);
    if (!status) return complain(status.error());
    add_status(json, *status);
    text += (text.empty() ? "" : "\n") + status_text(*status);
  }
  json.close().close();
  print(options.json ? json.text() + "\n" : text.empty() ? "No lab is up; `godwit lab up 2` starts one.\n" : text);
  return finish_output(kDone);
}

int run_on_node(const Globals& globals, const LabOptions& options) {
  signal(SIGPIPE, SIG_DFL);  // the command must not inherit that it is ignored
  Result<int> code = lab::exec(existing_lab(globals), options.node, options.command);
  return code ? *code : complain(code.error());
}

int start_daemon(const Globals& globals, const LabOptions& options) {
  Result<void> started = lab::start_daemon(existing_lab(globals), options.node);
  return started ? kDone : complain(started.error());
}

Command lab_command(Command& group, Globals& globals, const std::string& name, const std::string& help) {
  Command command = group.command(name, help);
  command.option("--lab", globals.lab, "NAME", "The lab (default: $GODWIT_LAB, else \"lab\")");
  return command;
}

}  // namespace

void add_lab(Command root, Globals& globals) {
  auto options = std::make_shared<LabOptions>();
  Command group = root.command("lab", "Make nodes on this one machine, to try things out (needs root)");
  group.examples(
      "  godwit lab up 3 --link 1gbit\n  godwit lab exec node1 -- hostname\n  godwit lab status\n  godwit lab down");

  lab_command(group, globals, "up", "Start a lab")
      .number_argument("N", options->nodes, 1, lab::kMaxNodes, "How many nodes")
      .option("--link", options->link, "RATE", "Speed of each node's link, e.g. 100mbit or 1gbit (default: no limit)")
      .flag("--routed", options->routed, "Each node in a subnet of its own, with a router between")
      .flag("--debug", options->debug, "Daemons log more")
      .hidden_option("--fault", options->fault)
      .flag("--json", options->json, "Print one JSON object")
      .examples("  godwit lab up 2\n  godwit lab up 3 --link 1gbit --lab second\n  godwit lab up 3 --routed")
      .action([&globals, options] { return up(globals, *options); });
  lab_command(group, globals, "exec", "Run a program on a node, outside of any job")
      .argument("NODE", options->node, "The node, e.g. node1")
      .verbatim("COMMAND", options->command, "Program and arguments")
      .examples("  godwit lab exec node2 -- ps aux\n  godwit lab exec node1 -- bash")
      .action([&globals, options] { return run_on_node(globals, *options); });
  lab_command(group, globals, "start", "Start the daemon of a node again, after it has ended")
      .argument("NODE", options->node, "The node, e.g. node1")
      .action([&globals, options] { return start_daemon(globals, *options); });
  lab_command(group, globals, "status", "Show the labs of this machine")
      .flag("--json", options->json, "Print one JSON object")
      .action([&globals, options] { return show_status(globals, *options); });
  lab_command(group, globals, "down", "Stop a lab and remove everything it made")
      .flag("--json", options->json, "Print one JSON object")
      .action([&globals, options] { return down(globals, *options); });
}

}  // namespace godwit::cli
