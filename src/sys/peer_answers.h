// PeerAnswers: up to where the peers of connections have everything, heard from their packets: raw(7) sockets see what
// comes in beside the connections themselves. In one network namespace.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/tcp_repair.h"

namespace godwit::sys {

class PeerAnswers {
 public:
  // Hears what comes from then on in the calling thread's network namespace.
  static Result<PeerAnswers> open();
  // Asks each peer, again and again, until all have answered or patience ends. The highest number that each has
  // acknowledged; nothing of one that did not say.
  std::vector<std::optional<uint32_t>> hear(std::span<const TcpConnection> connections,
                                            std::chrono::milliseconds patience);

 private:
  PeerAnswers(UniqueFd four, UniqueFd six) : four_(std::move(four)), six_(std::move(six)) {}
  UniqueFd four_, six_;  // the latter may lack
};

}  // namespace godwit::sys
