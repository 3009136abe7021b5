// `godwit nodes`: the nodes of the cluster.
#include <fmt/format.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/table.h"

namespace godwit::cli {

namespace {

std::string nodes_json(const api::NodesReply& nodes) {
  JsonWriter json;
  json.object().key("nodes").array();
  for (const api::Node& node : nodes.nodes())
    json.object()
        .field("node", node.name())
        .field("address", node.address())
        .field("up", node.up())
        .field("self", node.self())
        .field("directory", node.directory())
        .field("processors", node.processors())
        .field("load", node.load())
        .field("memory_bytes", node.memory_bytes())
        .field("memory_free_bytes", node.memory_free_bytes())
        .field("jobs", node.jobs())
        .field("kernel", node.kernel())
        .field("version", node.version())
        .close();
  return json.close().close().text() + "\n";
}

std::string nodes_text(const api::NodesReply& nodes) {
  Table table({{"NODE"},
               {"ADDRESS"},
               {"STATE"},
               {"JOBS", Table::Align::right},
               {"PROCESSORS", Table::Align::right},
               {"LOAD", Table::Align::right},
               {"FREE MEMORY", Table::Align::right},
               {"KERNEL"},
               {"GODWIT"},
               {""}});
  for (const api::Node& node : nodes.nodes())
    table.add({node.name(), node.address(), node.up() ? "up" : "down", std::to_string(node.jobs()),
               std::to_string(node.processors()), fmt::format("{:.2f}", node.load()),
               fmt::format("{} of {}", format_bytes(static_cast<double>(node.memory_free_bytes())),
                           format_bytes(static_cast<double>(node.memory_bytes()))),
               node.kernel(), node.version(),
               std::string(node.self() ? "this node" : "") + (node.self() && node.directory() ? ", " : "") +
                   (node.directory() ? "keeps the directory" : "")});
  return table.text();
}

}  // namespace

void add_nodes(Command root, Globals& globals) {
  auto json = std::make_shared<bool>(false);
  Command command = root.command("nodes", "List the nodes of the cluster");
  command.flag("--json", *json, "Print one JSON object");
  add_globals(command, globals);
  command.examples("  godwit nodes\n  godwit nodes --json | jq -r '.nodes[] | select(.up).node'")
      .action([&globals, json] {
        Answer<Client> client = Client::connect(globals);
        if (!client) return complain(client.error());
        Answer<api::NodesReply> nodes = client->nodes();
        if (!nodes) return complain(nodes.error());
        print(*json ? nodes_json(*nodes) : nodes_text(*nodes));
        return finish_output(kDone);
      });
}

}  // namespace godwit::cli
