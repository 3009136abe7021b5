#include "node/move_tally.h"

#include <algorithm>

namespace godwit::node {

void MoveTally::add(const std::string& method, const api::MoveEvent& told) {
  auto count = [&](const char* result) { ++ended[{method, result}]; };
  switch (told.event_case()) {
    case api::MoveEvent::kMoved:
      count("moved");
      if (told.moved().has_report()) add_report(told.moved().report());
      return;
    case api::MoveEvent::kRefused: return count("refused");
    case api::MoveEvent::kFailed: return count(told.failed().source_intact() ? "failed" : "lost");
    default: return;
  }
}

void MoveTally::add_report(const worker::Report& report) {
  const auto* bound = std::ranges::lower_bound(kFreezeBoundsMs, report.freeze_ms());
  if (bound != kFreezeBoundsMs.end()) ++freezes[static_cast<size_t>(bound - kFreezeBoundsMs.begin())];
  ++freezes_in_all;
  freeze_sum_ms += report.freeze_ms();
  bytes_sent += report.bytes_sent();
  rounds += report.rounds();
  requests += report.requests();
  pages_on_request += report.pages_on_request();
  pages_redundant += report.pages_redundant();
}

}  // namespace godwit::node
