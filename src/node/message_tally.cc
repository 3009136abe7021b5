#include "node/message_tally.h"

#include <spdlog/spdlog.h>

namespace godwit::node {

using forwarding::MessageCounters;
using forwarding::MessageCounts;
using forwarding::VirtualAddress;

void MessageTally::start(const forwarding::NodePlace& here) {
  auto counters = MessageCounters::open(here);
  if (counters) {
    counters_.emplace(std::move(*counters));
  } else {
    spdlog::warn("messages are not counted here: {}", counters.error().message());
  }
}

const std::map<uint32_t, MessageCounts>& MessageTally::look() {
  if (!counters_) return now_;
  auto read = counters_->read();
  if (read) {
    now_ = std::move(*read);
  } else {
    spdlog::warn("messages cannot be counted: {}", read.error().message());
  }
  return now_;
}

void MessageTally::waited(VirtualAddress address, Fate fate) {
  look();
  Tally& tally = tallies_[address.code];
  uint64_t waited = now_[address.code].waited;
  uint64_t since = waited - std::min(waited, tally.waited_before);
  tally.waited_before = waited;
  switch (fate) {
    case Fate::held: tally.held += since; break;
    case Fate::resent: tally.resent += since; break;
    case Fate::dropped: tally.dropped += since; break;
  }
}

void MessageTally::arrival_begins(VirtualAddress address) {
  look();
  tallies_[address.code].entered_before = now_[address.code].entered;
}

void MessageTally::arrival_ends(VirtualAddress address) {
  Tally& tally = tallies_[address.code];
  if (!tally.entered_before) return;
  look();
  uint64_t entered = now_[address.code].entered;
  tally.held += entered - std::min(entered, *tally.entered_before);
  tally.entered_before.reset();
}

void MessageTally::count_dropped(VirtualAddress address, bool dropped) {
  if (!counters_) return;
  auto done = counters_->count_dropped(address, dropped);
  if (!done) spdlog::warn("dropped messages cannot be counted: {}", done.error().message());
}

api::MessageCounts MessageTally::all() {
  look();
  api::MessageCounts sum;
  for (const auto& [address, tally] : tallies_) {
    sum.set_held(sum.held() + tally.held);
    sum.set_resent(sum.resent() + tally.resent);
    sum.set_dropped(sum.dropped() + tally.dropped);
    sum.set_located(sum.located() + tally.located);
  }
  for (const auto& [address, counts] : now_) {
    sum.set_forwarded(sum.forwarded() + counts.passed);
    sum.set_dropped(sum.dropped() + counts.dropped);
  }
  sum.set_counted(counters_.has_value());
  return sum;
}

api::MessageCounts MessageTally::of(VirtualAddress address) {
  look();
  const Tally& tally = tallies_[address.code];
  const MessageCounts& counts = now_[address.code];
  api::MessageCounts answer;
  answer.set_held(tally.held);
  answer.set_forwarded(counts.passed);
  answer.set_resent(tally.resent);
  answer.set_dropped(tally.dropped + counts.dropped);
  answer.set_located(tally.located);
  answer.set_counted(counters_.has_value());
  return answer;
}

}  // namespace godwit::node
