// A migration to this node: the destination worker, and what it and its end mean for the job. Loop thread only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "node/daemon.h"
#include "node/switchover.h"

namespace godwit::node {

class Arrival {
 public:
  using Told = std::function<void(Result<api::PrepareReply>)>;
  Arrival(Daemon& daemon, api::PrepareRequest request) : daemon_(daemon), request_(std::move(request)) {}
  // `listening` is called once, with the port and what the switchover compares against, or why there is none.
  Result<void> start(Told listening);
  // The source gave up. Nothing happens when the switchover is done or being made.
  void abandon();
  const std::string& job() const { return request_.job().id(); }
  // How the move went, said before the job was ours.
  void note(const api::MoveEvent::Moved& moved) { told_ = moved; }
  // Cut off from the memory that is still at the source, it waits as long as in the beginning. False: it is not.
  bool wait_longer();
  // It will not become a job here; what is left of it is being removed.
  bool given_up() const { return abandoned_ || (worker_ended_ && !committing_ && !committed_); }

 private:
  void on_event(const worker::WorkerEvent& event);
  void on_end();
  // `answered` is called in the loop, unless this arrival is over by then.
  template <class Question, class Answer>
  void ask_directory(Question question, void (Arrival::*answered)(const Answer&));
  // Reads what the switchover will compare against, while the program still runs.
  void look_up();
  void wake_directory();
  void tell_listening();
  void looked_up(const Result<uint64_t>& version);
  void begin_switchover();
  void try_switchover();
  void switched(const Ruling& ruling);
  void settle();
  void settled(const Ruling& ruling);
  // The job is ours: entered in the table, its init connected, its record kept.
  void adopt();
  void discard();
  void over();
  Job future_job() const;
  api::Job arrived() const;
  // What the worker says of memory that is still behind.
  void follow(const std::string& stage);
  // Asks the source's daemon whether that memory will come, as long as the worker is cut off.
  void ask_source();
  void source_answered(const Result<void>& leaving);
  void lost(const std::string& why);
  void kill_worker();
  void too_late();
  // Calls back in the loop, unless this arrival is over by then.
  void later(std::chrono::milliseconds delay, void (Arrival::*what)());

  Daemon& daemon_;
  api::PrepareRequest request_;
  worker::JobPlace place_;
  std::unique_ptr<WorkerProcess> worker_;
  Told listening_;
  std::optional<uint64_t> version_;  // of the job's entry in the directory, before the switchover
  std::chrono::steady_clock::time_point wanted_at_;
  std::optional<uint32_t> port_;  // where the worker listens
  bool commit_soon_ = false;      // so far a switchover that we do not know of is impossible
  bool commit_wanted_ = false;
  bool committing_ = false;
  bool committed_ = false;
  bool adopted_ = false;
  bool worker_ended_ = false;
  bool abandoned_ = false;
  std::string stage_;  // of memory that was left behind: empty, "arriving", "cut off" or "whole"
  std::optional<worker::WorkerEvent::Moved> moved_;
  std::optional<api::MoveEvent::Moved> told_;
};

}  // namespace godwit::node
