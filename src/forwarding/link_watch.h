// LinkWatch: what the counters tell of a link: that it is used, that nobody has used it for long, or that what is sent
// along it goes without an answer. Pure; fed with the counters now and then.
#pragma once

#include <chrono>
#include <cstdint>

#include "forwarding/message_counters.h"

namespace godwit::forwarding {

class LinkWatch {
 public:
  using Clock = std::chrono::steady_clock;
  // Something was sent and nothing came back for that long.
  static constexpr std::chrono::milliseconds kSilence{100};

  explicit LinkWatch(Clock::time_point now) : used_at_(now) {}
  struct Verdict {
    bool used = false;  // other nodes' messages went along it since the last look
    bool no_answer = false;
    std::chrono::seconds idle{};
  };
  Verdict look(const MessageCounts& counts, Clock::time_point now);

 private:
  bool seen_ = false;
  MessageCounts last_;
  Clock::time_point used_at_;
  std::chrono::steady_clock::time_point asked_at_{};  // the first that was sent since the last answer
};

}  // namespace godwit::forwarding
