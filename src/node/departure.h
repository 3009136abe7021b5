// A migration away from this node: the source worker, and what its word and its end mean for the job. Loop thread only.
//
// The worker's last event is acted upon when the worker has ended, so that nothing of a migration is left when the next
// begins. A worker that ends without one, or that asks (FenceWanted), makes us fence in the directory; until that is
// decided the job stays `moving` and, if the worker had frozen it, frozen.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "node/daemon.h"
#include "node/switchover.h"

namespace godwit::node {

// A worker's word for having lost the other one while memory is still behind (migration/reconnection.cc).
constexpr std::string_view kCutOff = "cut off";
// Of how a move went, in bytes.
constexpr size_t kLargestReport = size_t{256} << 10;

class Departure {
 public:
  // `offered`: the job as its destination was asked to receive it.
  Departure(Daemon& daemon, api::Job offered, std::string to, std::string migration,
            std::shared_ptr<MoveStream> stream);
  // `version`: of the job's entry in the directory, as the destination read it, for SourceOrder.makes_switchover.
  Result<void> start(const worker::SourceOrder& order, uint64_t version);
  // For a job that an earlier daemon of this node was moving: its worker cannot tell any more.
  void resume();
  void cancel();
  Result<void> switch_to_postcopy();
  // The worker connects again now. False: it is not cut off.
  bool connect_now();
  // Memory is here that the destination may still fetch.
  bool serves(const std::string& migration) const { return migration == migration_ && worker_ && !worker_ended_; }
  api::OngoingMove ongoing() const;

 private:
  void on_event(const worker::WorkerEvent& event);
  void on_end();
  // `answered` is called in the loop, unless this migration is over by then.
  template <class Question>
  void ask_directory(Question question, void (Departure::*answered)(const Ruling&));
  // The switchover, on the destination's behalf, when the directory is here.
  void wake_directory();
  void make_switchover();
  void switched(const Ruling& ruling);
  // Asks the directory, and raises the epoch so that no later switchover can succeed; until it answers.
  void begin_fence();
  void try_fence();
  void fenced(const Ruling& ruling);
  // What happened is known and the worker is gone.
  void settle();
  void stays(api::MoveEvent told);
  void left();
  void finish(api::MoveEvent told, bool departed);
  void tell_destination(api::MoveEvent told);
  // Calls back in the loop, unless this migration is over by then.
  void later(std::chrono::milliseconds delay, void (Departure::*what)());
  void kill_worker();
  void follow_messages(const std::string& stage);
  void note_slowing(double share);

  Daemon& daemon_;
  api::Job offered_;
  std::string job_, to_, migration_, method_;
  uint64_t version_ = 0;
  std::shared_ptr<MoveStream> stream_;
  std::unique_ptr<WorkerProcess> worker_;
  std::optional<worker::WorkerEvent> verdict_;  // the worker's last word
  std::optional<Ruling> ruling_;                // the directory's
  worker::WorkerEvent::Progress progress_;      // the worker's last word of it
  bool worker_ended_ = false;
  bool has_left_ = false;  // it runs there; memory may still be here
  bool fencing_ = false;
  std::chrono::steady_clock::time_point fencing_since_;
};

}  // namespace godwit::node
