#include "cli/job_view.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "cli/duration.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/publication.h"
#include "cli/table.h"

namespace godwit::cli {

namespace {

std::string quoted(const std::string& word) {
  auto plain = [](unsigned char c) { return isalnum(c) || strchr("%+,-./:=@_", c) != nullptr; };
  if (!word.empty() && std::ranges::all_of(word, plain)) return word;
  std::string out = "'";
  for (char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string shortened(const std::string& text, size_t most) {
  std::string clean = printable(text);
  if (display_width(clean) <= most) return clean;
  size_t bytes = 0;
  for (size_t columns = 0; columns + 3 < most && bytes < clean.size(); ++columns)
    for (++bytes; bytes < clean.size() && (clean[bytes] & 0xc0) == 0x80;) ++bytes;
  return clean.substr(0, bytes) + "...";
}

std::string state_in_words(const api::Job& job) {
  if (job.state() != api::ENDED) return state_name(job.state());
  return wait_status_in_words(job.exit_status());
}

double age_seconds(const api::Job& job, int64_t now_unix_ms) {
  int64_t until = job.ended_unix_ms() != 0 ? job.ended_unix_ms() : now_unix_ms;
  return static_cast<double>(until - job.started_unix_ms()) / 1e3;
}

}  // namespace

std::string state_name(api::JobState state) {
  switch (state) {
    case api::STARTING: return "starting";
    case api::RUNNING: return "running";
    case api::MOVING: return "moving";
    case api::ENDED: return "ended";
    case api::LOST: return "lost";
    default: return "unknown";
  }
}

static void add_counts(JsonWriter& json, const api::MessageCounts& counts) {
  json.key("messages")
      .object()
      .field("held", counts.held())
      .field("forwarded", counts.forwarded())
      .field("resent", counts.resent())
      .field("dropped", counts.dropped())
      .field("located", counts.located())
      .field("counted", counts.counted())
      .close();
}

void add_job(JsonWriter& json, const api::Job& job) {
  json.object()
      .field("job", job.id())
      .field("name", job.name())
      .field("node", job.node())
      .field("home", job.home())
      .field("state", state_name(job.state()))
      .field("epoch", job.epoch())
      .field("user", job.user())
      .field("uid", job.uid());
  json.key("command").array();
  for (const std::string& word : job.command()) json.value(word);
  json.close()
      .field("working_directory", job.working_directory())
      .field("started_unix_ms", job.started_unix_ms())
      .field("ended_unix_ms", job.ended_unix_ms())
      .field("processes", job.processes())
      .field("threads", job.threads())
      .field("memory_bytes", job.memory_bytes())
      .field("terminal", job.terminal());
  json.key("vip");
  job.vip().empty() ? json.raw("null") : json.value(job.vip());
  json.key("vip6");
  job.vip6().empty() ? json.raw("null") : json.value(job.vip6());
  json.field("forwarding", job.forwarding()).key("partners").array();
  for (const std::string& partner : job.partners()) json.value(partner);
  json.close().key("published").array();
  for (const api::Publication& port : job.published())
    json.object()
        .field("node_port", port.node_port())
        .field("job_port", port.job_port())
        .field("protocol", port.udp() ? "udp" : "tcp")
        .close();
  json.close();
  if (job.has_messages()) add_counts(json, job.messages());
  json.key("exit_code");
  if (job.state() == api::ENDED)
    json.value(exit_code_of_wait_status(job.exit_status()));
  else
    json.raw("null");
  json.key("consoles").array();
  for (const worker::Console& console : job.consoles())
    json.object()
        .field("console", console.number())
        .field("terminal", console.terminal())
        .field("pid", console.pid())
        .field("ended", console.ended())
        .field("exit_code", console.ended() ? exit_code_of_wait_status(console.status()) : 0)
        .close();
  json.close().key("residual_dependencies").array();
  for (const std::string& one : job.residual_dependencies()) json.value(one);
  json.close().key("last_move");
  if (job.has_last_move())
    json.raw(move_json(outcome_of(job.last_move(), job.name())));
  else
    json.raw("null");
  json.close();
}

std::string command_line_of(const api::Job& job) {
  std::string line;
  for (const std::string& word : job.command()) line += (line.empty() ? "" : " ") + quoted(word);
  return line;
}

MoveOutcome outcome_of(const api::MoveEvent::Moved& moved, const std::string& name) {
  return {.job = moved.job(),
          .name = name,
          .from = moved.from(),
          .to = moved.to(),
          .method = moved.method(),
          .state = "moved",
          .message = {},
          .report = moved.report(),
          .refusals = {}};
}

std::string job_table(const api::ListJobsReply& jobs, int64_t now_unix_ms) {
  using enum Table::Align;
  bool ports = std::ranges::any_of(jobs.jobs(), [](const api::Job& job) { return !job.published().empty(); });
  std::vector<Table::Column> columns = {
      {"JOB"},           {"NAME"},         {"NODE"},      {"STATE"}, {"PROCESSES", right},
      {"MEMORY", right}, {"EPOCH", right}, {"AGE", right}};
  if (ports) columns.push_back({"PORTS"});
  columns.push_back({"COMMAND"});
  Table table(columns);
  for (const api::Job& job : jobs.jobs()) {
    std::vector<std::string> cells = {job.id(),
                                      job.name(),
                                      job.node(),
                                      state_in_words(job),
                                      std::to_string(job.processes()),
                                      format_bytes(static_cast<double>(job.memory_bytes())),
                                      std::to_string(job.epoch()),
                                      format_age(age_seconds(job, now_unix_ms))};
    if (ports) cells.push_back(ports_of(job));
    cells.push_back(shortened(command_line_of(job), 48));
    table.add(std::move(cells));
  }
  return table.text();
}

std::string job_text(const api::Job& job, int64_t now_unix_ms, size_t width) {
  std::string out;
  auto line = [&](std::string_view title, const std::string& value) {
    out += fmt::format("{:<14}{}\n", title, printable(value));
  };
  line("job", job.id());
  line("name", job.name());
  line("state", state_in_words(job));
  line("node", job.node() + (job.home() == job.node() ? "" : " (started on " + job.home() + ")"));
  line("epoch", fmt::format("{}", job.epoch()));
  line("user", fmt::format("{} ({})", job.user(), job.uid()));
  line("command", command_line_of(job));
  line("directory", job.working_directory());
  line("started", local_time(job.started_unix_ms()) + ", " + format_age(age_seconds(job, now_unix_ms)) +
                      (job.state() == api::ENDED ? " before it ended" : " ago"));
  line("processes", fmt::format("{}, {} threads", job.processes(), job.threads()));
  line("memory", format_bytes(static_cast<double>(job.memory_bytes())));
  for (const worker::Console& console : job.consoles())
    line(fmt::format("console {}", console.number()),
         fmt::format("{}, pid {}{}", console.terminal() ? "terminal" : "pipes", console.pid(),
                     console.ended() ? ", " + wait_status_in_words(console.status()) : ""));
  if (!job.vip().empty()) {
    line("address", job.vip() + ", " + job.vip6());
    std::string partners;
    for (const std::string& partner : job.partners()) partners += (partners.empty() ? "" : ", ") + partner;
    line("forwarding", job.forwarding() + (partners.empty() ? "" : "; partners: " + partners));
  }
  if (!job.published().empty()) line("ports", ports_of(job) + " of every node");
  if (job.has_messages()) {
    const api::MessageCounts& counts = job.messages();
    line("messages", fmt::format("{} held, {} forwarded, {} resent, {} dropped; located {} times{}", counts.held(),
                                 counts.forwarded(), counts.resent(), counts.dropped(), counts.located(),
                                 counts.counted() ? "" : " (not every node can count)"));
  }
  std::string left;
  for (const std::string& one : job.residual_dependencies()) left += (left.empty() ? "" : "; ") + one;
  line("left over", left.empty() ? "none: it needs no node that it has left" : left);
  if (job.has_last_move()) out += "\nThe last move:\n" + moved_text(outcome_of(job.last_move(), job.name()), width);
  return out;
}

int64_t unix_ms_now() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string local_time(int64_t unix_ms) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(static_cast<time_t>(unix_ms / 1000)));
}

}  // namespace godwit::cli
