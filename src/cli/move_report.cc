#include "cli/move_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cli/duration.h"
#include "cli/exit_code.h"
#include "cli/table.h"
#include "cli/timeline.h"

namespace godwit::cli {

using worker::Refusal;
using worker::Report;

namespace {

std::string grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (ptrdiff_t at = static_cast<ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string counted(uint64_t number, std::string_view one, std::string_view many) {
  return grouped(number) + " " + std::string(number == 1 ? one : many);
}

std::string place_of(const Refusal& refusal) {
  if (refusal.fd() >= 0 && refusal.end() == 0) return fmt::format("fd {}", refusal.fd());
  if (refusal.end() != 0) return fmt::format("{:x}-{:x}", refusal.start(), refusal.end());
  return "-";
}

std::string job_in_words(const MoveOutcome& outcome) {
  return outcome.name.empty() || outcome.name == outcome.job ? outcome.job
                                                             : printable(outcome.name) + " (" + outcome.job + ")";
}

std::string phase_table(const Report& report) {
  constexpr size_t kBar = 32;
  Table table({{"PHASE"}, {"SIDE"}, {"AFTER", Table::Align::right}, {"TOOK", Table::Align::right}, {""}});
  double total = std::max(report.total_ms(), 1e-9);
  for (const worker::Phase& phase : report.phases()) {
    auto column = [&](double at) { return static_cast<size_t>(std::clamp(at / total, 0.0, 1.0) * (kBar - 1)); };
    size_t first = column(phase.start_ms()), last = column(phase.start_ms() + phase.length_ms());
    std::string bar = std::string(first, ' ') + std::string(std::max<size_t>(last - first, 1), '#');
    table.add({phase.name(), phase.side(), format_ms(phase.start_ms()), format_ms(phase.length_ms()), bar});
  }
  return table.empty() ? "" : "\n" + table.text();
}

std::string files_in_words(const Report& report) {
  std::map<std::string, std::pair<uint64_t, uint64_t>> by_origin;  // count, bytes
  for (const worker::FilePlan& file : report.files()) {
    auto& [count, bytes] = by_origin[file.origin()];
    ++count;
    bytes += file.bytes();
  }
  std::string text;
  for (const auto& [origin, sums] : by_origin)
    text += fmt::format("{}{} {} ({})", text.empty() ? "" : ", ", grouped(sums.first), origin,
                        format_bytes(static_cast<double>(sums.second)));
  return text.empty() ? "none" : text;
}

std::string sums_text(const Report& report) {
  std::string out;
  out += fmt::format("  memory     {} in use: {} sent, {} zero, {} redundant\n",
                     counted(report.pages_total(), "page", "pages"), grouped(report.pages_sent()),
                     grouped(report.pages_zero()), grouped(report.pages_redundant()));
  uint64_t not_whole = report.pages_identical() + report.pages_cached() + report.pages_by_delta();
  if (not_whole > 0)
    out += fmt::format("  known      {} sent before elsewhere, {} left by an earlier visit, {} as differences of {}\n",
                       counted(report.pages_identical(), "page", "pages"), grouped(report.pages_cached()),
                       grouped(report.pages_by_delta()), format_bytes(static_cast<double>(report.delta_bytes())));
  if (report.rounds() > 0)
    out += fmt::format("  rounds     {}{}; the set-up of tracking stopped it for {}\n", report.rounds(),
                       report.switched_by_hand() ? ", then switched to post-copy by hand" : "",
                       format_ms(report.tracking_stop_ms()));
  if (report.slowed_ms() > 0)
    out += fmt::format("  slowed     held to {:.2f} processors at the least, for {} in all\n",
                       report.least_processor_share(), format_ms(report.slowed_ms()));
  if (report.pages_pushed() + report.pages_on_request() > 0)
    out += fmt::format(
        "  afterwards {} pushed, {} fetched when touched, {} of them ahead of it; {} given back meanwhile\n",
        counted(report.pages_pushed(), "page", "pages"), grouped(report.pages_on_request()),
        grouped(report.pages_ahead()), grouped(report.pages_freed()));
  if (report.pages_mirrored() > 0)
    out += fmt::format("  mirror     {} on the disk of the node it left, until they had arrived\n",
                       counted(report.pages_mirrored(), "page", "pages"));
  std::string compressed;
  if (report.compressed_bytes() > 0)
    compressed =
        fmt::format("; {} of memory compressed to {}", format_bytes(static_cast<double>(report.compressed_bytes())),
                    format_bytes(static_cast<double>(report.compressed_to_bytes())));
  out += fmt::format("  sent       {}{}\n", format_bytes(static_cast<double>(report.bytes_sent())), compressed);
  out += fmt::format("  threads    {} in {}: {} stopped at once, {} when a system call ended\n",
                     grouped(report.threads()), counted(report.processes(), "process", "processes"),
                     report.threads_immediate(), report.threads_delayed());
  out += "  files      " + files_in_words(report) + "\n";
  std::string left;
  for (const std::string& one : report.residual_dependencies()) left += (left.empty() ? "" : "; ") + printable(one);
  out += "  left over  " + (left.empty() ? "none" : left) + "\n";
  if (!report.warning().empty()) out += "  warning    " + printable(report.warning()) + "\n";
  return out;
}

}  // namespace

std::string method_in_words(const std::string& method) {
  if (method == "total") return "total freezing";
  if (method == "precopy") return "pre-copy";
  if (method == "postcopy") return "post-copy";
  return method;
}

double freeze_begin_ms(const Report& report) {
  for (const worker::Phase& phase : report.phases())
    if (phase.name() == "freeze") return phase.start_ms();
  return std::max(0.0, report.total_ms() - report.freeze_ms());
}

std::string rounds_table(const Report& report) {
  Table table({{"ROUND", Table::Align::right},
               {"AFTER", Table::Align::right},
               {"TOOK", Table::Align::right},
               {"SENT", Table::Align::right},
               {"WRITTEN", Table::Align::right},
               {""}});
  int number = 0;
  for (const worker::RoundReport& round : report.rounds_made())
    table.add({std::to_string(++number), format_ms(round.start_ms()), format_ms(round.length_ms()),
               format_bytes(static_cast<double>(round.bytes())), format_bytes(round.dirty_rate()) + "/s",
               round.processor_share() > 0 ? fmt::format("held to {:.2f} processors", round.processor_share()) : ""});
  return table.empty() ? "" : table.text();
}

std::string moved_text(const MoveOutcome& outcome, size_t width) {
  const Report& report = outcome.report;
  if (report.phases().empty())  // the worker that knew has died
    return fmt::format("{} moved from {} to {} by {}; how long it took is not known.\n  warning    {}\n",
                       job_in_words(outcome), outcome.from, outcome.to, method_in_words(outcome.method),
                       report.warning().empty() ? "none" : printable(report.warning()));
  double begin = freeze_begin_ms(report);
  std::string out = fmt::format("{} moved from {} to {} by {}: frozen for {}, {} in all.\n\n", job_in_words(outcome),
                                outcome.from, outcome.to, method_in_words(outcome.method),
                                format_ms(report.freeze_ms()), format_ms(report.total_ms()));
  out += draw_timeline({.source = outcome.from,
                        .destination = outcome.to,
                        .before_ms = begin,
                        .freeze_ms = report.freeze_ms(),
                        .after_ms = std::max(0.0, report.total_ms() - begin - report.freeze_ms())},
                       width);
  return out + phase_table(report) + "\n" + sums_text(report);
}

std::string dry_run_text(const MoveOutcome& outcome, size_t width) {
  const Report& report = outcome.report;
  std::string out;
  if (outcome.refusals.empty()) {
    bool rounds = outcome.method == "precopy" || outcome.method == "hybrid";
    out = fmt::format(
        "{} can move from {} to {} by {}: frozen for {} {}, about {} in all{}. Nothing has been touched.\n\n",
        job_in_words(outcome), outcome.from, outcome.to, method_in_words(outcome.method), rounds ? "at most" : "about",
        format_ms(report.predicted_freeze_ms()), format_ms(report.predicted_total_ms()),
        rounds ? ", if rounds keep up with it" : "");
  } else {
    out =
        fmt::format("{} cannot move from {} to {}; {} in the way. Nothing has been touched.\n\n{}\n",
                    job_in_words(outcome), outcome.from, outcome.to,
                    outcome.refusals.size() == 1 ? "one thing is" : counted(outcome.refusals.size(), "", "things are"),
                    refusal_table(outcome.refusals, width));
  }
  out += fmt::format("  memory     {}, {}\n", counted(report.pages_total(), "page", "pages"),
                     format_bytes(static_cast<double>(report.pages_total()) * 4096));
  out += fmt::format("  threads    {} in {}\n", grouped(report.threads()),
                     counted(report.processes(), "process", "processes"));
  out += "  files      " + files_in_words(report) + "\n";
  Table files({{"FILE"}, {"FROM"}, {"SIZE", Table::Align::right}, {"WHY"}});
  for (const worker::FilePlan& file : report.files())
    files.add({file.path(), file.origin(), format_bytes(static_cast<double>(file.bytes())), file.why()});
  return files.empty() ? out : out + "\n" + files.text(width);
}

std::string refusal_table(const std::vector<Refusal>& refusals, size_t width) {
  Table table({{"PID", Table::Align::right}, {"PROCESS"}, {"WHERE"}, {"WHAT"}, {"WHAT HELPS"}});
  for (const Refusal& refusal : refusals)
    table.add({refusal.pid() != 0 ? std::to_string(refusal.pid()) : "-",
               refusal.process().empty() ? "-" : refusal.process(), place_of(refusal), refusal.what(),
               refusal.remedy()});
  return table.text(width);
}

int exit_code_of_move(const MoveOutcome& outcome) {
  if (outcome.state == "moved") return kDone;
  if (outcome.state == "dry_run") return outcome.refusals.empty() ? kDone : kRefused;
  if (outcome.state == "refused") return kRefused;
  if (outcome.state == "lost") return kLost;
  return kFailed;
}

}  // namespace godwit::cli
