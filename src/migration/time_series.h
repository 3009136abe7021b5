// TimeSeries: what had been done by which instant of a migration, in a bounded number of samples: when there are too
// many, every second one goes and the next ones come half as often. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "godwit/worker.pb.h"

namespace godwit::migration {

class TimeSeries {
 public:
  static constexpr size_t kMost = 256;

  // Whether enough time has passed since the last sample for another one.
  bool wants(double at_ms) const { return samples_.empty() || at_ms - samples_.back().at_ms() >= interval_ms_; }
  // Samples come in the order of their time; the last one is kept whatever the interval.
  void add(worker::Sample sample) {
    if (samples_.size() >= kMost) thin_out();
    samples_.push_back(std::move(sample));
  }
  const std::vector<worker::Sample>& samples() const { return samples_; }

 private:
  void thin_out() {
    interval_ms_ *= 2;
    for (size_t at = 1; 2 * at < samples_.size(); ++at) samples_[at] = std::move(samples_[2 * at]);
    samples_.resize((samples_.size() + 1) / 2);
  }

  double interval_ms_ = 5;
  std::vector<worker::Sample> samples_;
};

}  // namespace godwit::migration
