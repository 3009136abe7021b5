// Convergence: whether another round of pre-copy pays, decided from what the last ones showed. Pure.
//
// A round sends what was written during the one before, so rounds shrink by the factor dirty rate / bandwidth until
// fixed costs stop them. The freeze will have to send what is written while the last round runs:
//   expected freeze = fixed part + dirty rate x length of the last round / bandwidth
// Source of the scheme: C. Clark et al., "Live Migration of Virtual Machines", NSDI 2005, section 3.2.
//
// Where the rest may follow a running program (hybrid) a round pays only while it saves twice what it repeats: what
// it sends and the program does not write again is saved, what it does write again is sent once more. So a program that
// writes as fast as the link carries is moved by post-copy in the midst of its first round.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace godwit::address_space {

struct Round {
  uint64_t bytes = 0;                      // sent in it
  std::chrono::nanoseconds length{0};      // until the other side had it
  std::chrono::nanoseconds since_last{0};  // from the beginning of the one before to its own
  uint64_t known_bytes = 0;                // of `bytes`: the other side had them, only a reference was sent
  std::optional<uint64_t> written_bytes;   // since then, where that was looked at: the next round has to send them
};

class Convergence {
 public:
  struct Limits {
    std::chrono::nanoseconds max_freeze = std::chrono::milliseconds(10);
    int max_rounds = 30;
    bool rest_may_follow = false;  // whether what is not sent by rounds may follow when the program runs
    uint64_t memory_bytes = 0;     // about what the first round sends
  };
  enum class Verdict {
    another,  // the next round will be smaller
    freeze,   // what is left is small, or good enough
    stuck,    // the program writes faster than rounds can follow
  };

  explicit Convergence(Limits limits) : limits_(limits), to_send_(limits.memory_bytes) {}
  Verdict after(const Round& round);
  // Whether it pays to go on with a round that has sent so much, so much of which was written again already. Not asked
  // of what the freeze may send.
  bool pays(uint64_t sent_bytes, uint64_t written_bytes) const;
  // The program is slower from now on: what rounds have shown in vain does not count any more. A slowed program writes
  // in bursts (it gets its share of a period at once, and a tick more, which it owes then; cgroup v2's cpu.max), so
  // that short rounds show nothing one by one.
  void give_another_chance() {
    in_vain_ = 0;
    slowed_ = true;
    since_slowed_ = {};
  }
  // Whether a round of so much is so long that a look at all of the memory costs little beside it.
  bool is_large(uint64_t bytes) const { return bytes > limits_.memory_bytes / 16; }
  bool may_go_on() const { return rounds_ < limits_.max_rounds; }

  int rounds() const { return rounds_; }
  double bandwidth() const { return bandwidth_; }    // bytes per second; 0: not known yet
  double dirty_rate() const { return dirty_rate_; }  // bytes per second, as sent
  std::chrono::nanoseconds expected_freeze() const;

 private:
  bool is_in_vain(uint64_t sent_bytes, uint64_t written_bytes) const;
  Limits limits_;
  int rounds_ = 0;
  int in_vain_ = 0;  // rounds that did not shrink, in a row
  bool slowed_ = false;
  std::chrono::nanoseconds since_slowed_{0};
  uint64_t to_send_;  // about, by the round under way
  double bandwidth_ = 0;
  double dirty_rate_ = 0;
  Round last_;
};

}  // namespace godwit::address_space
