#include "cli/timeline.h"

#include <algorithm>
#include <array>

#include "cli/duration.h"
#include "cli/table.h"

namespace godwit::cli {

namespace {

constexpr size_t kNarrowestPart = 20;

// `label` in the middle of `width` columns of `fill`.
std::string bar(char fill, const std::string& label, size_t width) {
  std::string text(width, fill);
  std::string padded = label.empty() ? "" : " " + label + " ";
  if (padded.size() + 2 <= width) text.replace((width - padded.size()) / 2, padded.size(), padded);
  return text;
}

std::string measure(double milliseconds, size_t width) {
  std::string text = bar('-', format_ms(milliseconds), width);
  text.front() = '<';
  text.back() = '>';
  return text;
}

// Columns for the three parts: as much as they took, but each wide enough to be read.
std::array<size_t, 3> part_widths(const Timeline& timeline, size_t columns) {
  const double parts[] = {timeline.before_ms, timeline.freeze_ms, timeline.after_ms};
  double total = std::max(parts[0] + parts[1] + parts[2], 1e-9);
  size_t spare = columns - 3 * kNarrowestPart;
  std::array<size_t, 3> widths{};
  for (size_t part = 0; part < 3; ++part) {
    double share = std::clamp(parts[part] / total, 0.0, 1.0);
    widths[part] = kNarrowestPart + static_cast<size_t>(share * static_cast<double>(spare));
  }
  return widths;
}

}  // namespace

std::string draw_timeline(const Timeline& timeline, size_t width) {
  size_t names = std::max(display_width(timeline.source), display_width(timeline.destination));
  auto name = [&](const std::string& text) {
    return "  " + text + std::string(names - display_width(text), ' ') + " ";
  };
  constexpr size_t kMarks = 4;  // the bars between the parts and at both ends
  size_t around = names + 3 + kMarks;
  size_t columns = std::max(width > around ? width - around : 0, 3 * kNarrowestPart);
  auto [before, freeze, after] = part_widths(timeline, columns);

  std::string out = name(timeline.source) + "|" + bar('=', "running", before) + "|" + bar('.', "frozen", freeze) + "|" +
                    bar(' ', timeline.after_ms > 0 ? "frees the rest" : "", after);
  out.erase(out.find_last_not_of(' ') + 1);
  out += '\n';
  out += name(timeline.destination) + "|" + bar(' ', "prepares", before) + "|" + bar('.', "restores", freeze) + "|" +
         bar('=', "running", after) + "|\n";
  out += name("") + " " + measure(timeline.before_ms, before) + " " + measure(timeline.freeze_ms, freeze) + " " +
         measure(timeline.after_ms, after) + "\n";
  return out;
}

}  // namespace godwit::cli
