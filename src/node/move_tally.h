// MoveTally: what the moves away from this node have come to since the daemon started. Pure; loop thread only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "godwit/api.pb.h"

namespace godwit::node {

struct MoveTally {
  // Upper bounds of the classes of freeze times; what is longer counts in the sum only.
  static constexpr std::array<double, 11> kFreezeBoundsMs{0.5, 1, 2, 3, 5, 10, 20, 50, 100, 500, 2000};

  // By method and by how it ended: moved | refused | failed | lost. A dry run is no move.
  std::map<std::pair<std::string, std::string>, uint64_t> ended;
  std::array<uint64_t, kFreezeBoundsMs.size()> freezes{};  // not longer than the bound, and longer than the one before
  uint64_t freezes_in_all = 0;
  double freeze_sum_ms = 0;
  uint64_t bytes_sent = 0, rounds = 0, requests = 0, pages_on_request = 0, pages_redundant = 0;

  // The last event of a move.
  void add(const std::string& method, const api::MoveEvent& told);

 private:
  void add_report(const worker::Report& report);
};

}  // namespace godwit::node
