#include "cli/table.h"

#include <algorithm>

#include "base/result.h"

namespace godwit::cli {

namespace {

constexpr size_t kGap = 2;
constexpr size_t kNarrowest = 20;  // the last column is never wrapped to less

std::vector<std::string> wrap(const std::string& text, size_t width) {
  if (display_width(text) <= width) return {text};
  std::vector<std::string> lines(1);
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find(' ', at), text.size());
    std::string word = text.substr(at, end - at);
    if (!lines.back().empty() && display_width(lines.back()) + 1 + display_width(word) > width) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
    at = end + 1;
  }
  return lines;
}

}  // namespace

size_t display_width(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string printable(std::string_view text) {
  std::string clean(text);
  std::ranges::replace_if(clean, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return clean;
}

void Table::add(std::vector<std::string> cells) {
  CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::text(size_t width) const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    size_t widest = display_width(columns_[c].title);
    for (const auto& row : rows_) widest = std::max(widest, display_width(row[c]));
    widths.push_back(widest);
  }
  size_t before_last = 0;
  for (size_t c = 0; c + 1 < columns_.size(); ++c) before_last += widths[c] + kGap;
  size_t last_width = width > before_last + kNarrowest ? width - before_last : width == 0 ? SIZE_MAX : kNarrowest;

  std::string out;
  auto print = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t c = 0; c + 1 < cells.size(); ++c) {
      std::string padding(widths[c] - display_width(cells[c]), ' ');
      line += columns_[c].align == Align::right ? padding + cells[c] : cells[c] + padding;
      line.append(kGap, ' ');
    }
    std::vector<std::string> last = wrap(cells.back(), last_width);
    if (columns_.back().align == Align::right) last[0].insert(0, widths.back() - display_width(last[0]), ' ');
    for (size_t n = 0; n < last.size(); ++n) {
      std::string whole = (n == 0 ? line : std::string(before_last, ' ')) + last[n];
      whole.erase(whole.find_last_not_of(' ') + 1);
      out += whole + '\n';
    }
  };
  std::vector<std::string> header;
  for (const Column& column : columns_) header.push_back(column.title);
  print(header);
  for (const auto& row : rows_) print(row);
  return out;
}

}  // namespace godwit::cli
