// A move drawn over time, as an SVG that needs nothing else: what source and destination did, the freeze, rounds,
// throughput and what the running program asked for; then the freeze itself, enlarged. Readable on light and dark.
// Source: SVG 1.1 (W3C), and prefers-color-scheme of CSS Media Queries 5. Pure.
#pragma once

#include <string>

#include "cli/move_report.h"

namespace godwit::cli {

// A whole document. Requires: a move that succeeded.
std::string report_svg(const MoveOutcome& outcome);

}  // namespace godwit::cli
