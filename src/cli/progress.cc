#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cli/duration.h"
#include "cli/json_writer.h"
#include "cli/table.h"
#include "sys/terminal.h"

namespace godwit::cli {

using Progress = worker::WorkerEvent::Progress;

namespace {

double share(const Progress& progress) {
  if (progress.total_bytes() == 0) return 0;
  return std::min(1.0, static_cast<double>(progress.done_bytes()) / static_cast<double>(progress.total_bytes()));
}

}  // namespace

std::optional<double> time_left_ms(const Progress& progress) {
  bool travels = progress.stage() == "rounds" || progress.stage() == "pushing";
  double rate = progress.bandwidth() - (progress.stage() == "rounds" ? progress.dirty_rate() : 0);
  if (!travels || rate <= 0) return std::nullopt;
  return static_cast<double>(progress.left_bytes()) / rate * 1000 + progress.expected_freeze_ms();
}

std::string progress_amount(const Progress& progress) {
  if (progress.total_bytes() == 0) return "";
  auto time = time_left_ms(progress);
  std::string to_go = time ? ", " + format_ms(*time) + " to go" : "";
  if (progress.round() == 0 || progress.stage() != "rounds")
    return fmt::format("{} of {}{}", format_bytes(static_cast<double>(progress.done_bytes())),
                       format_bytes(static_cast<double>(progress.total_bytes())), to_go);
  std::string written =
      progress.dirty_rate() > 0 ? fmt::format(", {}/s dirty", format_bytes(progress.dirty_rate())) : "";
  std::string freeze = progress.expected_freeze_ms() > 0 ? ", freeze " + format_ms(progress.expected_freeze_ms()) : "";
  std::string held =
      progress.processor_share() > 0 ? fmt::format(", held to {:.2f} processors", progress.processor_share()) : "";
  return fmt::format("round {}, {} sent, {} left{}{}{}{}", progress.round(),
                     format_bytes(static_cast<double>(progress.done_bytes())),
                     format_bytes(static_cast<double>(progress.left_bytes())), written, freeze, to_go, held);
}

ProgressStyle progress_style(const std::string& mode, bool terminal) {
  if (mode == "plain") return ProgressStyle::plain;
  if (mode == "json") return ProgressStyle::json;
  if (mode == "none") return ProgressStyle::none;
  return terminal ? ProgressStyle::bar : ProgressStyle::none;
}

std::string progress_bar(const std::string& what, const Progress& progress, size_t width) {
  std::string head = fmt::format("{}  {:<10.10}", printable(what), printable(progress.stage()));
  std::string tail = fmt::format("{:>3.0f} %  {:>20}  {:>8}", share(progress) * 100, progress_amount(progress),
                                 format_ms(progress.elapsed_ms()));
  size_t taken = display_width(head) + display_width(tail) + 6;
  std::string line = head;
  if (width > taken + 8) {
    size_t columns = width - taken;
    auto done = static_cast<size_t>(share(progress) * static_cast<double>(columns));
    line += "  [" + std::string(done, '#') + std::string(columns - done, '-') + "]";
  }
  line += "  " + tail;
  if (display_width(line) > width && progress.stage() == "rounds") line = progress_amount(progress);  // what counts
  if (display_width(line) > width) line.resize(std::min(line.size(), width));
  return line;
}

std::string progress_plain(const std::string& what, const Progress& progress) {
  std::string moved = progress_amount(progress);
  return fmt::format("{}: {}{}{} after {}", printable(what), printable(progress.stage()), moved.empty() ? "" : ", ",
                     moved, format_ms(progress.elapsed_ms()));
}

std::string progress_json(const std::string& job, const Progress& progress) {
  JsonWriter json;
  auto time = time_left_ms(progress);
  json.object()
      .field("job", job)
      .field("stage", progress.stage())
      .field("done_bytes", progress.done_bytes())
      .field("total_bytes", progress.total_bytes())
      .field("elapsed_ms", progress.elapsed_ms())
      .field("round", progress.round())
      .field("dirty_bytes_per_second", progress.dirty_rate())
      .field("link_bytes_per_second", progress.bandwidth())
      .field("expected_freeze_ms", progress.expected_freeze_ms())
      .field("left_bytes", progress.left_bytes())
      .field("processor_share", progress.processor_share())
      .key("time_left_ms");
  time ? json.value(*time) : json.raw("null");
  return json.close().text();
}

ProgressDisplay::ProgressDisplay(ProgressStyle style, std::string job, std::string what)
    : style_(style), job_(std::move(job)), what_(std::move(what)) {}

void ProgressDisplay::show(const Progress& progress) {
  switch (style_) {
    case ProgressStyle::none: return;
    case ProgressStyle::json: fprintf(stderr, "%s\n", progress_json(job_, progress).c_str()); return;
    case ProgressStyle::plain:
      // a line for each stage, not for each report
      if (progress.stage() != last_stage_) fprintf(stderr, "%s\n", progress_plain(what_, progress).c_str());
      last_stage_ = progress.stage();
      return;
    case ProgressStyle::bar: {
      size_t width = 80;
      if (auto size = sys::window_size(2)) width = size->columns;
      fprintf(stderr, "\r%s\x1b[K", progress_bar(what_, progress, width - 1).c_str());
      fflush(stderr);
      drawn_ = true;
      return;
    }
  }
}

void ProgressDisplay::clear() {
  if (!drawn_) return;
  fprintf(stderr, "\r\x1b[K");
  fflush(stderr);
  drawn_ = false;
}

}  // namespace godwit::cli
