// A move drawn as the field's textbooks draw it: what source and destination do before, during and after the freeze.
#pragma once

#include <string>

namespace godwit::cli {

struct Timeline {
  std::string source;
  std::string destination;
  double before_ms = 0;  // from the request to the first thread stopped
  double freeze_ms = 0;  // until the first thread runs at the destination
  double after_ms = 0;   // until nothing is left on the source
};

// Three lines, each ended by a newline, at most `width` columns, but as wide as its words need. Not to scale: a freeze
// is usually too short to be seen; the figures say how long each part took.
std::string draw_timeline(const Timeline& timeline, size_t width);

}  // namespace godwit::cli
