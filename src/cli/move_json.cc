// The JSON form of a move; see move_report.h. The keys are documented in godwit(1) and do not change their meaning.
#include <map>

#include "cli/json_writer.h"
#include "cli/move_report.h"

namespace godwit::cli {

using worker::Report;

namespace {

void add_phases(JsonWriter& json, const Report& report) {
  // A name that both sides use gets the side in front where it comes second.
  std::vector<std::pair<std::string, double>> phases;
  std::map<std::string, std::string> side_of;
  for (const worker::Phase& phase : report.phases()) {
    std::string name = phase.name();
    auto [known, fresh] = side_of.try_emplace(name, phase.side());
    if (!fresh && known->second != phase.side()) name = phase.side() + "_" + name;
    auto same = std::ranges::find(phases, name, &std::pair<std::string, double>::first);
    if (same != phases.end())
      same->second += phase.length_ms();
    else
      phases.emplace_back(name, phase.length_ms());
  }
  json.key("phases_ms").object();
  for (const auto& [name, length] : phases) json.field(name, length);
  json.close();
}

void add_course(JsonWriter& json, const Report& report) {
  json.field("freeze_begin_ms", freeze_begin_ms(report)).key("rounds_made").array();
  for (const worker::RoundReport& round : report.rounds_made())
    json.object()
        .field("start_ms", round.start_ms())
        .field("length_ms", round.length_ms())
        .field("bytes", round.bytes())
        .field("dirty_bytes_per_second", round.dirty_rate())
        .field("link_bytes_per_second", round.bandwidth())
        .field("processor_share", round.processor_share())
        .close();
  json.close().key("samples").array();
  for (const worker::Sample& sample : report.samples())
    json.object()
        .field("at_ms", sample.at_ms())
        .field("bytes_sent", sample.bytes_sent())
        .field("requests", sample.requests())
        .field("pages_on_request", sample.pages_on_request())
        .close();
  json.close();
}

void add_pages(JsonWriter& json, const Report& report) {
  json.key("pages")
      .object()
      .field("total", report.pages_total())
      .field("sent", report.pages_sent())
      .field("zero", report.pages_zero())
      .field("redundant", report.pages_redundant())
      .field("pushed", report.pages_pushed())
      .field("on_request", report.pages_on_request())
      .field("ahead", report.pages_ahead())
      .field("ahead_used", report.pages_ahead_used())
      .field("freed", report.pages_freed())
      .field("mirrored", report.pages_mirrored())
      .field("identical", report.pages_identical())
      .field("cached", report.pages_cached())
      .field("by_delta", report.pages_by_delta())
      .close();
  json.field("delta_bytes", report.delta_bytes());
}

void add_refusals(JsonWriter& json, const std::vector<worker::Refusal>& refusals) {
  json.key("refusals").array();
  for (const worker::Refusal& refusal : refusals)
    json.object()
        .field("code", refusal.code())
        .field("pid", refusal.pid())
        .field("process", refusal.process())
        .field("fd", refusal.fd())
        .field("start", refusal.start())
        .field("end", refusal.end())
        .field("what", refusal.what())
        .field("remedy", refusal.remedy())
        .close();
  json.close();
}

}  // namespace

std::string move_json(const MoveOutcome& outcome, Detail detail) {
  const Report& report = outcome.report;
  JsonWriter json;
  json.object()
      .field("job", outcome.job)
      .field("name", outcome.name)
      .field("from", outcome.from)
      .field("to", outcome.to)
      .field("method", outcome.method)
      .field("state", outcome.state)
      .field("message", outcome.message)
      .field("freeze_ms", report.freeze_ms())
      .field("downtime_ms", report.downtime_ms())
      .field("total_ms", report.total_ms());
  if (outcome.state == "dry_run")
    json.field("predicted_freeze_ms", report.predicted_freeze_ms())
        .field("predicted_total_ms", report.predicted_total_ms());
  add_phases(json, report);
  json.field("processes", report.processes());
  json.key("threads")
      .object()
      .field("total", report.threads())
      .field("immediate", report.threads_immediate())
      .field("delayed", report.threads_delayed())
      .close();
  add_pages(json, report);
  json.field("rounds", report.rounds())
      .field("switched_by_hand", report.switched_by_hand())
      .field("tracking_stop_ms", report.tracking_stop_ms())
      .field("slowed_ms", report.slowed_ms())
      .field("least_processor_share", report.least_processor_share());
  json.field("bytes_sent", report.bytes_sent()).field("streams", report.streams());
  json.key("compression")
      .object()
      .field("bytes", report.compressed_bytes())
      .field("compressed_to", report.compressed_to_bytes())
      .close();
  json.key("workers_peak_bytes")
      .object()
      .field("source", report.peak_memory_bytes())
      .field("destination", report.destination_peak_memory_bytes())
      .close();
  json.key("files").array();
  for (const worker::FilePlan& file : report.files())
    json.object()
        .field("path", file.path())
        .field("origin", file.origin())
        .field("bytes", file.bytes())
        .field("why", file.why())
        .close();
  json.close();
  json.key("residual_dependencies").array();
  for (const std::string& one : report.residual_dependencies()) json.value(one);
  json.close();
  json.field("warning", report.warning());
  add_refusals(json, outcome.refusals);
  if (detail == Detail::full) add_course(json, report);
  return json.close().text();
}

}  // namespace godwit::cli
