#include "cli/top_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/duration.h"
#include "cli/job_view.h"
#include "cli/json_writer.h"
#include "cli/progress.h"
#include "cli/table.h"

namespace godwit::cli {

namespace {

// Those that move first: they are what one looks for.
std::vector<const api::Job*> in_order(const api::ListJobsReply& jobs) {
  std::vector<const api::Job*> order;
  for (const api::Job& job : jobs.jobs()) order.push_back(&job);
  std::ranges::stable_sort(order, [](const api::Job* a, const api::Job* b) { return a->has_move() > b->has_move(); });
  return order;
}

std::string move_in_words(const api::Job& job) {
  if (!job.has_move()) return "";
  const auto& progress = job.move().progress();
  std::string amount = progress_amount(progress);
  return fmt::format("to {} by {}: {}{}{}", job.move().to(), job.move().method(), progress.stage(),
                     amount.empty() ? "" : ", ", amount);
}

std::string node_table(const api::NodesReply& nodes) {
  Table table({{"NODE"},
               {"STATE"},
               {"JOBS", Table::Align::right},
               {"LOAD", Table::Align::right},
               {"PROCESSORS", Table::Align::right},
               {"FREE MEMORY", Table::Align::right}});
  for (const api::Node& node : nodes.nodes())
    table.add({node.name(), node.up() ? "up" : "down", std::to_string(node.jobs()), fmt::format("{:.2f}", node.load()),
               std::to_string(node.processors()), format_bytes(static_cast<double>(node.memory_free_bytes()))});
  return table.text();
}

std::string jobs_table(const api::ListJobsReply& jobs) {
  Table table({{"JOB"},
               {"NAME"},
               {"NODE"},
               {"STATE"},
               {"PROCESSES", Table::Align::right},
               {"MEMORY", Table::Align::right},
               {"EPOCH", Table::Align::right},
               {"MOVE"}});
  for (const api::Job* job : in_order(jobs))
    table.add({job->id(), printable(job->name()), job->node(), state_name(job->state()),
               std::to_string(job->processes()), format_bytes(static_cast<double>(job->memory_bytes())),
               std::to_string(job->epoch()), move_in_words(*job)});
  return table.empty() ? "no jobs\n" : table.text();
}

std::string cut(const std::string& text, size_t width, size_t height) {
  std::string out;
  size_t lines = 0;
  for (size_t at = 0; at < text.size() && (height == 0 || lines < height); ++lines) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (width > 0 && display_width(line) > width) line.resize(std::min(line.size(), width));
    out += line + "\n";
    at = end + 1;
  }
  return out;
}

}  // namespace

std::string top_text(const api::NodesReply& nodes, const api::ListJobsReply& jobs, int64_t now_unix_ms, size_t width,
                     size_t height) {
  auto moving = std::ranges::count_if(jobs.jobs(), [](const api::Job& job) { return job.has_move(); });
  std::string head = fmt::format("{}  {} nodes, {} jobs, {} moving\n\n", local_time(now_unix_ms), nodes.nodes_size(),
                                 jobs.jobs_size(), moving);
  return cut(head + node_table(nodes) + "\n" + jobs_table(jobs), width, height);
}

std::string top_json(const api::NodesReply& nodes, const api::ListJobsReply& jobs, int64_t now_unix_ms) {
  JsonWriter json;
  json.object().field("unix_ms", now_unix_ms).key("nodes").array();
  for (const api::Node& node : nodes.nodes())
    json.object()
        .field("node", node.name())
        .field("up", node.up())
        .field("jobs", node.jobs())
        .field("load", node.load())
        .field("processors", node.processors())
        .field("memory_free_bytes", node.memory_free_bytes())
        .close();
  json.close().key("jobs").array();
  for (const api::Job* job : in_order(jobs)) {
    json.object()
        .field("job", job->id())
        .field("name", job->name())
        .field("node", job->node())
        .field("state", state_name(job->state()))
        .field("processes", job->processes())
        .field("memory_bytes", job->memory_bytes())
        .field("epoch", job->epoch())
        .key("move");
    if (job->has_move()) {
      json.object().field("to", job->move().to()).field("method", job->move().method()).key("progress");
      json.raw(progress_json(job->id(), job->move().progress())).close();
    } else {
      json.raw("null");
    }
    json.close();
  }
  return json.close().close().text() + "\n";
}

}  // namespace godwit::cli
