#include "address_space/convergence.h"

#include <algorithm>

namespace godwit::address_space {

namespace {

constexpr uint64_t kSmallBytes = 256 << 10;  // not worth a round of its own
constexpr double kShrinks = 0.75;            // of the round before
constexpr double kHardlyShrinks = 0.9;
constexpr uint64_t kLargeBytes = 64 << 20;  // less is soon tried again
constexpr uint64_t kFewBytes = 16 << 20;    // of what may follow: soon sent once more
constexpr uint64_t kEnoughOfRound = 4;      // a fourth of a round shows how it goes on
constexpr int kFarTooLong = 10;             // times the freeze that is wanted
constexpr int kPatience = 2;                // rounds in vain before it counts as stuck
constexpr std::chrono::nanoseconds kSeveralBursts = std::chrono::seconds(1);   // of a slowed program
constexpr std::chrono::nanoseconds kFixedPart = std::chrono::milliseconds(2);  // freeze, state and switchover

double seconds(std::chrono::nanoseconds length) { return std::chrono::duration<double>(length).count(); }

bool repeats_too_much(uint64_t sent_bytes, uint64_t written_bytes) {
  return written_bytes > kFewBytes && written_bytes > sent_bytes / 3;
}

}  // namespace

std::chrono::nanoseconds Convergence::expected_freeze() const {
  if (bandwidth_ <= 0) return kFixedPart;
  double left = dirty_rate_ * seconds(last_.length) / bandwidth_;
  return kFixedPart + std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(left));
}

bool Convergence::is_in_vain(uint64_t sent_bytes, uint64_t written_bytes) const {
  double freeze_carries = bandwidth_ * seconds(limits_.max_freeze - kFixedPart);
  return limits_.rest_may_follow && static_cast<double>(written_bytes) > freeze_carries &&
         repeats_too_much(sent_bytes, written_bytes);
}

bool Convergence::pays(uint64_t sent_bytes, uint64_t written_bytes) const {
  return sent_bytes < to_send_ / kEnoughOfRound || !is_in_vain(sent_bytes, written_bytes);
}

Convergence::Verdict Convergence::after(const Round& round) {
  ++rounds_;
  // Small rounds are mostly fixed costs, so the best one tells most about the link.
  if (round.length.count() > 0) {
    bandwidth_ = std::max(bandwidth_, static_cast<double>(round.bytes - round.known_bytes) / seconds(round.length));
  }
  if (rounds_ > 1 && round.since_last.count() > 0) {
    dirty_rate_ = static_cast<double>(round.bytes) / seconds(round.since_last);
  }
  bool shrinks = rounds_ == 1 || static_cast<double>(round.bytes) < kShrinks * static_cast<double>(last_.bytes);
  bool hopeless = static_cast<double>(round.bytes) > kHardlyShrinks * static_cast<double>(last_.bytes);
  last_ = round;
  to_send_ = round.written_bytes.value_or(round.bytes);
  since_slowed_ += round.length;
  hopeless = hopeless && !slowed_ && round.bytes > kLargeBytes && expected_freeze() > kFarTooLong * limits_.max_freeze;
  in_vain_ = shrinks ? 0 : hopeless ? kPatience : in_vain_ + 1;
  if (rounds_ > 1 && round.bytes <= kSmallBytes) return Verdict::freeze;
  if (round.written_bytes && is_in_vain(round.bytes, *round.written_bytes)) return Verdict::stuck;
  bool last_chance = rounds_ >= limits_.max_rounds;
  if (rounds_ == 1 && !last_chance) return Verdict::another;
  if (shrinks && !last_chance) return Verdict::another;
  if (expected_freeze() <= limits_.max_freeze) return Verdict::freeze;
  bool seen_enough = in_vain_ >= kPatience && (!slowed_ || since_slowed_ >= kSeveralBursts);
  return seen_enough || last_chance ? Verdict::stuck : Verdict::another;
}

}  // namespace godwit::address_space
