#include "migration/prediction.h"

#include <algorithm>

#include "address_space/convergence.h"
#include "migration/phases.h"

namespace godwit::migration {

namespace {

constexpr double kLinkBytesPerMs = 0.8e6;  // what TLS moves into a process
constexpr double kLookBytesPerMs = 300e6;  // of memory whose pages are looked for
constexpr double kDiskBytesPerMs = 1e6;    // of a mirror
constexpr double kFixedMs = 2;             // freeze, state and switchover

double freeze_ms(const worker::MoveOptions& options, MemoryBytes memory, bool mirror) {
  auto own = static_cast<double>(memory.own), in_objects = static_cast<double>(memory.in_objects);
  if (options.memory() == "total") return kFixedMs + (own + in_objects) / kLinkBytesPerMs;
  if (options.memory() == "postcopy") {
    return kFixedMs + own / kLookBytesPerMs + in_objects / kLinkBytesPerMs + (mirror ? own / kDiskBytesPerMs : 0);
  }
  if (options.max_freeze_ms() > 0) return options.max_freeze_ms();
  return Phases::milliseconds(address_space::Convergence::Limits().max_freeze);
}

}  // namespace

void predict(const worker::MoveOptions& options, MemoryBytes memory, bool mirror, double elapsed_ms,
             worker::Report& report) {
  auto bytes = static_cast<double>(memory.own + memory.in_objects);
  double copy_ms = bytes / kLinkBytesPerMs;
  bool limited = options.bandwidth() > 0 && options.memory() != "total";
  if (limited) copy_ms = std::max(copy_ms, bytes * 1e3 / static_cast<double>(options.bandwidth()));
  report.set_predicted_freeze_ms(freeze_ms(options, memory, mirror));
  report.set_predicted_total_ms(elapsed_ms + copy_ms +
                                (options.memory() == "total" ? kFixedMs : report.predicted_freeze_ms()));
}

}  // namespace godwit::migration
