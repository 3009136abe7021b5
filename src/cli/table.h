// A table in columns for a terminal: two spaces between columns, the header in capitals, no trailing blanks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace godwit::cli {

class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Requires: as many cells as columns.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  // The header and each row, a line each. If `width` is not 0, the last column is wrapped at blanks to fit into it.
  std::string text(size_t width = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Columns on a screen that `text` takes: code points, not bytes.
size_t display_width(std::string_view text);

// `text` without control characters (a program's name may hold any byte): each becomes '?'.
std::string printable(std::string_view text);

}  // namespace godwit::cli
