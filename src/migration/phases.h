// Phases: what a migration spent its time on, in the order of events, for reports and the freeze budget.
// Times are of this side's CLOCK_MONOTONIC, relative to the start it was made with.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/worker.pb.h"

namespace godwit::migration {

class Phases {
 public:
  explicit Phases(std::string side) : side_(std::move(side)), start_(std::chrono::steady_clock::now()), last_(start_) {}

  // The phase `name` lasted from the end of the phase before until now.
  void end(std::string_view name) {
    auto now = std::chrono::steady_clock::now();
    worker::Phase phase;
    phase.set_name(std::string(name));
    phase.set_side(side_);
    phase.set_start_ms(milliseconds(last_ - start_));
    phase.set_length_ms(milliseconds(now - last_));
    phases_.push_back(std::move(phase));
    last_ = now;
  }
  double elapsed_ms() const { return milliseconds(std::chrono::steady_clock::now() - start_); }
  const std::vector<worker::Phase>& list() const { return phases_; }

  static double milliseconds(std::chrono::steady_clock::duration length) {
    return std::chrono::duration<double, std::milli>(length).count();
  }

 private:
  std::string side_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
  std::vector<worker::Phase> phases_;
};

}  // namespace godwit::migration
