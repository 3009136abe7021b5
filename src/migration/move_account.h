// MoveAccount: what the source tells of a move, while it goes on (stage, progress) and afterwards (rounds, samples over
// time), and where it hears what a person wants meanwhile. One thread only; nothing of it is done while the program is
// frozen, but for the word that it is.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "migration/daemon_link.h"
#include "migration/departing_host.h"
#include "migration/pacer.h"
#include "migration/phases.h"
#include "migration/time_series.h"

namespace godwit::migration {

// Writes down how many processes and threads were stopped, and how these were blocked.
void count_frozen(const image::LogicalHost& host, const freeze::SeizedTree& tree, worker::Report& report);

class MoveAccount {
 public:
  MoveAccount(DaemonLink& link, const Phases& phases) : link_(link), phases_(phases) {}

  void begin(std::string_view stage);
  const std::string& stage() const { return stage_; }
  void set_memory_bytes(uint64_t bytes) { memory_bytes_ = bytes; }
  uint64_t memory_bytes() const { return memory_bytes_; }

  // Bytes a second for memory that travels while the program runs, here or there; 0: no limit.
  void limit(uint64_t bytes_per_second) { pacer_ = Pacer(bytes_per_second); }

  // What has been sent so far; asked for when a sample is due.
  struct Sent {
    uint64_t bytes = 0, requests = 0, pages_on_request = 0;
  };
  void count_by(std::function<Sent()> sent) { sent_ = std::move(sent); }

  // Between two chunks of a round; waits as the limit wants it. True: go on; false: the rest is to be left to
  // post-copy. Errors: denied when the move was called off.
  Result<bool> between_chunks(uint64_t round_bytes);
  void after_round(const DepartingHost::RoundResult& round, const address_space::Convergence& rule);
  void while_pushing(uint64_t left_bytes);
  // Cut off: whether a person wants it to connect again now.
  bool wish_to_go_on() { return link_.take_wish_to_go_on(); }
  // The processors that the program is held to; 0: it is not held back.
  void set_processor_share(double share);
  double processor_share() const { return share_; }

  // Writes down what there is to say of rounds, samples and slowing down.
  void complete(worker::Report& report);

 private:
  worker::WorkerEvent::Progress said() const;
  void tell(const worker::WorkerEvent::Progress& progress);
  void sample();
  void pace(uint64_t bytes);
  double rate_of_stage(uint64_t done_bytes) const;

  DaemonLink& link_;
  const Phases& phases_;
  std::string stage_ = "connecting";
  double stage_began_ms_ = 0, told_ms_ = 0;
  uint64_t memory_bytes_ = 0;
  uint64_t round_left_bytes_ = 0;  // when the round began
  uint64_t done_bytes_ = 0;        // before this round, or while pushing at its begin
  uint64_t owed_bytes_ = 0;        // when pushing began
  worker::WorkerEvent::Progress last_round_;
  std::vector<worker::RoundReport> rounds_;
  std::function<Sent()> sent_;
  TimeSeries series_;
  Pacer pacer_;
  uint64_t paced_bytes_ = 0;  // of this round, or of pushing
  double share_ = 0, share_since_ms_ = 0, slowed_ms_ = 0, least_share_ = 0;
};

}  // namespace godwit::migration
