#include "cli/report_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cli/duration.h"
#include "cli/table.h"

namespace godwit::cli {

namespace {

using worker::Report;

constexpr double kWidth = 960, kLeft = 120, kRight = 930;
constexpr double kLane = 24;        // height of a bar
constexpr double kPanel = 90;       // height of a graph
constexpr double kLeastFreeze = 3;  // columns: it is usually too short to be seen
constexpr double kLeastLabelled = 56;

constexpr const char* kStyle = R"(<style>
text{font:12px system-ui,sans-serif;fill:#444}.head{font-size:16px;font-weight:600}.small{font-size:10px}
.end{text-anchor:end}.mid{text-anchor:middle}.in{fill:#fff}
.runs{fill:#3b8ea5}.works{fill:#8a8a8a;opacity:.45}.still{fill:#c8553d}.rate{fill:#3b8ea5;opacity:.55}
.round{fill:#7a9e5f}.asked{fill:#b5833a}.line{stroke:#8a8a8a;stroke-width:1;opacity:.6}
.dirty{fill:none;stroke:#c8553d;stroke-width:1.5}.freeze{fill:#c8553d;opacity:.25}
@media(prefers-color-scheme:dark){text{fill:#ccc}.in{fill:#fff}}
</style>
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : printable(text)) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

// The marks of an axis up to `most`: a round step, at most eight of them.
double round_step(double most) {
  double step = std::pow(10, std::floor(std::log10(std::max(most, 1e-6) / 8)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (most / (step * factor) <= 8) return step * factor;
  }
  return step * 10;
}

class Drawing {
 public:
  explicit Drawing(double total_ms) : total_ms_(std::max(total_ms, 1e-3)) {}

  double x(double at_ms) const { return kLeft + std::clamp(at_ms / total_ms_, 0.0, 1.0) * (kRight - kLeft); }
  void text(double x, double y, const char* style, std::string_view words) {
    body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>\n", x, y, style, escaped(words));
  }
  void box(double x, double y, double width, double height, const char* style, std::string_view title = {}) {
    body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\"", x, y,
                         std::max(width, 0.0), std::max(height, 0.0), style);
    body_ += title.empty() ? "/>\n" : fmt::format("><title>{}</title></rect>\n", escaped(title));
  }
  void line(double x1, double y1, double x2, double y2) {
    body_ +=
        fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"line\"/>\n", x1, y1, x2, y2);
  }
  void path(const std::string& steps, const char* style) {
    if (!steps.empty()) body_ += fmt::format("<path d=\"{}\" class=\"{}\"/>\n", steps, style);
  }
  // A bar with a word in it, if that fits.
  void bar(double from, double to, double y, const char* style, std::string_view word) {
    box(from, y, to - from, kLane, style, word);
    if (to - from >= kLeastLabelled) text((from + to) / 2, y + 16, "mid in", word);
  }
  double total_ms() const { return total_ms_; }

  std::string document(double height) const {
    return fmt::format(
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\">\n",
               kWidth, height) +
           kStyle + body_ + "</svg>\n";
  }

 private:
  double total_ms_;
  std::string body_;
};

void draw_lanes(Drawing& draw, const MoveOutcome& outcome, double y) {
  const Report& report = outcome.report;
  double freeze = draw.x(freeze_begin_ms(report));
  double thaw = std::max(draw.x(freeze_begin_ms(report) + report.freeze_ms()), freeze + kLeastFreeze);
  double below = y + kLane + 8;
  bool pushes = report.pages_pushed() + report.pages_on_request() > 0;
  draw.text(kLeft - 10, y + 16, "end", outcome.from);
  draw.bar(kLeft, freeze, y, "runs", "running");
  draw.bar(freeze, thaw, y, "still", "frozen for " + format_ms(report.freeze_ms()));
  draw.bar(thaw, kRight, y, "works", pushes ? "sends the rest" : "frees the rest");
  draw.text(kLeft - 10, below + 16, "end", outcome.to);
  draw.bar(kLeft, freeze, below, "works", "prepares");
  draw.bar(freeze, thaw, below, "still", "restores");
  draw.bar(thaw, kRight, below, "runs", "running");
}

// The frame of a graph, with its greatest value at the left.
void draw_frame(Drawing& draw, double y, std::string_view title, const std::string& most) {
  draw.line(kLeft, y + kPanel, kRight, y + kPanel);
  draw.text(kLeft, y - 6, "small", title);
  draw.text(kLeft - 10, y + 8, "end small", most);
  draw.text(kLeft - 10, y + kPanel, "end small", "0");
}

struct Interval {
  double from_ms, to_ms, per_second;
};

// What was counted between each two samples, per second.
std::vector<Interval> rates(const Report& report, uint64_t (worker::Sample::*counted)() const) {
  std::vector<Interval> intervals;
  for (int at = 1; at < report.samples_size(); ++at) {
    const worker::Sample& last = report.samples(at - 1);
    const worker::Sample& now = report.samples(at);
    double length = now.at_ms() - last.at_ms();
    if (length <= 0 || (now.*counted)() < (last.*counted)()) continue;
    double count = static_cast<double>((now.*counted)() - (last.*counted)());
    intervals.push_back({last.at_ms(), now.at_ms(), count / length * 1000});
  }
  return intervals;
}

double greatest(const std::vector<Interval>& intervals) {
  double most = 0;
  for (const Interval& each : intervals) most = std::max(most, each.per_second);
  return most;
}

void draw_rates(Drawing& draw, const std::vector<Interval>& intervals, double most, double y, const char* style) {
  for (const Interval& each : intervals) {
    double height = most > 0 ? each.per_second / most * kPanel : 0;
    draw.box(draw.x(each.from_ms), y + kPanel - height, draw.x(each.to_ms) - draw.x(each.from_ms), height, style);
  }
}

void draw_throughput(Drawing& draw, const Report& report, double y) {
  std::vector<Interval> sent = rates(report, &worker::Sample::bytes_sent);
  double most = greatest(sent);
  for (const worker::RoundReport& round : report.rounds_made()) most = std::max(most, round.dirty_rate());
  bool rounds = report.rounds_made_size() > 0;
  draw_frame(draw, y, rounds ? "sent per second (area), written by the program (line)" : "sent per second",
             format_bytes(most) + "/s");
  draw_rates(draw, sent, most, y, "rate");
  std::string steps;
  for (const worker::RoundReport& round : report.rounds_made()) {
    if (round.dirty_rate() <= 0 || most <= 0) continue;
    double height = y + kPanel - round.dirty_rate() / most * kPanel;
    steps += fmt::format("{}{:.1f} {:.1f}H{:.1f}", steps.empty() ? "M" : "L", draw.x(round.start_ms()), height,
                         draw.x(round.start_ms() + round.length_ms()));
  }
  draw.path(steps, "dirty");
}

void draw_rounds(Drawing& draw, const Report& report, double y) {
  uint64_t most = 1;
  for (const worker::RoundReport& round : report.rounds_made()) most = std::max(most, round.bytes());
  draw_frame(draw, y, "sent in each round", format_bytes(static_cast<double>(most)));
  int number = 0;
  for (const worker::RoundReport& round : report.rounds_made()) {
    double from = draw.x(round.start_ms()), to = draw.x(round.start_ms() + round.length_ms());
    double height = std::max(1.0, static_cast<double>(round.bytes()) / static_cast<double>(most) * kPanel);
    std::string held =
        round.processor_share() > 0 ? fmt::format(", program held to {:.2f} processors", round.processor_share()) : "";
    draw.box(from, y + kPanel - height, std::max(to - from - 1, 1.0), height, "round",
             fmt::format("round {}: {} in {}{}", ++number, format_bytes(static_cast<double>(round.bytes())),
                         format_ms(round.length_ms()), held));
    if (to - from >= 14) draw.text((from + to) / 2, y + kPanel - 4, "mid small in", std::to_string(number));
  }
}

void draw_requests(Drawing& draw, const Report& report, double y) {
  std::vector<Interval> asked = rates(report, &worker::Sample::pages_on_request);
  double most = greatest(asked);
  draw_frame(draw, y, fmt::format("pages fetched when touched, per second ({} requests in all)", report.requests()),
             fmt::format("{:.0f}/s", most));
  draw_rates(draw, asked, most, y, "asked");
}

void draw_time(Drawing& draw, double y) {
  double step = round_step(draw.total_ms());
  draw.line(kLeft, y, kRight, y);
  for (double at = 0; at <= draw.total_ms(); at += step) {
    draw.line(draw.x(at), y, draw.x(at), y + 4);
    draw.text(draw.x(at), y + 16, "mid small", at == 0 ? "0" : format_ms(at));
  }
}

// The source's phases within the freeze, to a scale of their own.
void draw_freeze(Drawing& draw, const Report& report, double y) {
  draw.text(kLeft, y - 6, "small", "the freeze, enlarged: " + format_ms(report.freeze_ms()));
  double begin = freeze_begin_ms(report), length = std::max(report.freeze_ms(), 1e-6);
  auto place = [&](double at) { return kLeft + std::clamp((at - begin) / length, 0.0, 1.0) * (kRight - kLeft); };
  for (const worker::Phase& phase : report.phases()) {
    double from = place(phase.start_ms()), to = place(phase.start_ms() + phase.length_ms());
    bool inside = phase.side() == "source" && to > from;
    if (!inside) continue;
    draw.box(from, y, std::max(to - from - 1, 1.0), kLane, "still", phase.name() + ": " + format_ms(phase.length_ms()));
    if (to - from >= kLeastLabelled) {
      draw.text((from + to) / 2, y + 16, "mid in", phase.name());
      draw.text((from + to) / 2, y + kLane + 12, "mid small", format_ms(phase.length_ms()));
    }
  }
}

}  // namespace

std::string report_svg(const MoveOutcome& outcome) {
  const Report& report = outcome.report;
  Drawing draw(report.total_ms());
  constexpr double kBetween = kPanel + 34;
  draw.text(20, 28, "head",
            fmt::format("{} moved from {} to {}", outcome.name.empty() ? outcome.job : outcome.name, outcome.from,
                        outcome.to));
  draw.text(
      20, 48, "",
      fmt::format("by {}{}: frozen for {}, {} in all, {} sent", method_in_words(outcome.method),
                  report.switched_by_hand() ? " (switched to post-copy by hand)" : "", format_ms(report.freeze_ms()),
                  format_ms(report.total_ms()), format_bytes(static_cast<double>(report.bytes_sent()))));
  double top = 66, y = top;
  draw_lanes(draw, outcome, y);
  y += 2 * kLane + 8 + 34;
  draw_throughput(draw, report, y);
  y += kBetween;
  if (report.rounds_made_size() > 0) {
    draw_rounds(draw, report, y);
    y += kBetween;
  }
  if (report.pages_on_request() > 0) {
    draw_requests(draw, report, y);
    y += kBetween;
  }
  y -= 20;
  double freeze = draw.x(freeze_begin_ms(report));
  double thaw = std::max(draw.x(freeze_begin_ms(report) + report.freeze_ms()), freeze + 1);
  draw.box(freeze, top, thaw - freeze, y - top, "freeze", "frozen for " + format_ms(report.freeze_ms()));
  draw_time(draw, y);
  y += 52;
  draw_freeze(draw, report, y);
  return draw.document(y + kLane + 24);
}

}  // namespace godwit::cli
