#include "node/departure.h"

#include <spdlog/spdlog.h>

#include <array>
#include <utility>

#include "coprocess/left_sockets.h"
#include "freeze/hurry.h"
#include "freeze/slowed_job.h"
#include "objects/tcp_rest.h"
#include "sys/text_file.h"

namespace godwit::node {

using CommitResult = worker::WorkerRequest::CommitResult;

namespace {

using std::chrono::milliseconds;
constexpr milliseconds kAskAgain(300);
constexpr milliseconds kLastWords(20'000);        // from a worker's last word to its end
constexpr milliseconds kWorkersPatience(20'000);  // it waits 30 s for our answer

}  // namespace

Departure::Departure(Daemon& daemon, api::Job offered, std::string to, std::string migration,
                     std::shared_ptr<MoveStream> stream)
    : daemon_(daemon),
      offered_(std::move(offered)),
      job_(offered_.id()),
      to_(std::move(to)),
      migration_(std::move(migration)),
      stream_(std::move(stream)) {}

Result<void> Departure::start(const worker::SourceOrder& order, uint64_t version) {
  version_ = version;
  method_ = order.options().memory();
  worker::WorkerOrder message;
  *message.mutable_source() = order;
  worker_ = TRY(WorkerProcess::start(
      daemon_.loop_, message, {[this](const worker::WorkerEvent& event) { on_event(event); }, [this] { on_end(); }}));
  return {};
}

template <class Question>
void Departure::ask_directory(Question question, void (Departure::*answered)(const Ruling&)) {
  daemon_.ask_directory(std::move(question),
                        [daemon = &daemon_, job = job_, migration = migration_, answered](const Ruling& ruling) {
                          auto found = daemon->departures_.find(job);
                          bool same = found != daemon->departures_.end() && found->second->migration_ == migration;
                          if (same) (found->second.get()->*answered)(ruling);
                        });
}

// What it touches is in the caches then.
void Departure::wake_directory() {
  (void)version_of(*daemon_.directory_, offered_.id(), offered_.node(), offered_.epoch());
}

void Departure::make_switchover() {
  api::Job record = arrived_job(offered_, daemon_.config_.node, offered_.epoch(), to_);
  ask_directory(
      [record, version = version_](directory::Directory& directory) { return switch_over(directory, record, version); },
      &Departure::switched);
}

void Departure::switched(const Ruling& ruling) {
  worker::WorkerRequest request;
  CommitResult& result = *request.mutable_commit_result();
  result.set_outcome(ruling.decision == Decision::here ? CommitResult::COMMITTED : CommitResult::REFUSED);
  result.set_reason(ruling.reason);
  if (!worker_ended_) (void)worker_->send(request);  // its end is told of elsewhere
}

void Departure::resume() {
  worker_ended_ = true;
  begin_fence();
}

void Departure::later(std::chrono::milliseconds delay, void (Departure::*what)()) {
  daemon_.loop_.after(delay, [daemon = &daemon_, job = job_, migration = migration_, what] {
    auto found = daemon->departures_.find(job);
    if (found != daemon->departures_.end() && found->second->migration_ == migration) (found->second.get()->*what)();
  });
}

void Departure::cancel() {
  worker::WorkerRequest request;
  request.mutable_cancel()->set_reason("cancelled by the user");
  if (!worker_ended_) (void)worker_->send(request);  // a worker that has ended is told of elsewhere
}

Result<void> Departure::switch_to_postcopy() {
  if (progress_.stage() != "rounds") {
    std::string stage = progress_.stage().empty() ? "beginning" : progress_.stage();
    return error(ErrorKind::unsupported, "the move of job " + daemon_.find(job_)->record.name() + " to " + to_ +
                                             " is not in rounds of pre-copy, which alone can be switched to "
                                             "post-copy; its stage is: " +
                                             stage);
  }
  worker::WorkerRequest request;
  request.mutable_switch_();
  if (!worker_ended_) (void)worker_->send(request);  // a worker that has ended is told of elsewhere
  return {};
}

bool Departure::connect_now() {
  if (progress_.stage() != kCutOff || worker_ended_) return false;
  worker::WorkerRequest request;
  request.mutable_switch_();
  (void)worker_->send(request);  // its end is told of elsewhere
  return true;
}

api::OngoingMove Departure::ongoing() const {
  api::OngoingMove move;
  move.set_to(to_);
  move.set_method(method_);
  *move.mutable_progress() = progress_;
  return move;
}

void Departure::kill_worker() {
  if (!worker_ended_) worker_->kill();
}

// Messages are sent on when the freeze begins, and as soon as it runs there.
void Departure::follow_messages(const std::string& stage) {
  if (stage == progress_.stage()) return;
  if (stage == "frozen") daemon_.messages_.freezing(*daemon_.find(job_), to_);
  bool runs_there = stage == "pushing" || stage == "discarding";
  if (runs_there && !std::exchange(has_left_, true)) daemon_.messages_.left(*daemon_.find(job_), to_);
  if (stage == kCutOff) daemon_.tell(*daemon_.find(job_), "cut off", "from " + to_ + ", while memory is still here");
  if (progress_.stage() == kCutOff) daemon_.tell(*daemon_.find(job_), "connected again", "with " + to_);
}

// The program is held back so that rounds can catch up with it: its owner should know.
void Departure::note_slowing(double share) {
  if (share == progress_.processor_share()) return;
  const Job& job = *daemon_.find(job_);
  if (share <= 0) return daemon_.tell(job, "runs at full speed again");
  std::array<char, 64> text;
  (void)std::snprintf(text.data(), text.size(), "to %.2f processors", share);
  daemon_.tell(job, "slowed down", text.data() + (" while it moves to " + to_));
}

void Departure::on_event(const worker::WorkerEvent& event) {
  switch (event.event_case()) {
    case worker::WorkerEvent::kProgress: {
      api::MoveEvent told;
      follow_messages(event.progress().stage());
      note_slowing(event.progress().processor_share());
      progress_ = event.progress();
      *told.mutable_progress() = event.progress();
      return stream_->add(std::move(told));
    }
    case worker::WorkerEvent::kCommitSoon: return wake_directory();
    case worker::WorkerEvent::kCommitWanted:
      if (!worker_ended_ && !fencing_) make_switchover();
      return;
    case worker::WorkerEvent::kFenceWanted: return begin_fence();
    case worker::WorkerEvent::kRefused:
    case worker::WorkerEvent::kDryRun:
    case worker::WorkerEvent::kFailed:
    case worker::WorkerEvent::kMoved: verdict_ = event; return later(kLastWords, &Departure::kill_worker);
    default: spdlog::error("a source worker sent an unexpected event"); return;
  }
}

void Departure::on_end() {
  worker_ended_ = true;
  if (verdict_ || ruling_) return settle();
  begin_fence();
}

void Departure::begin_fence() {
  if (std::exchange(fencing_, true)) return;
  fencing_since_ = std::chrono::steady_clock::now();
  try_fence();
}

void Departure::try_fence() {
  Job* job = daemon_.find(job_);
  CHECK(job != nullptr);  // a job that is moving is in the table
  ask_directory([record = job->record](directory::Directory& directory) { return fence(directory, record); },
                &Departure::fenced);
}

void Departure::fenced(const Ruling& ruling) {
  if (ruling.decision == Decision::unknown) {
    // A worker that lost its patience would let the program run. Killed, it leaves it frozen.
    auto waited = std::chrono::steady_clock::now() - fencing_since_;
    if (waited > kWorkersPatience) kill_worker();
    return later(kAskAgain, &Departure::try_fence);
  }
  ruling_ = ruling;
  if (ruling.decision == Decision::here) {
    Job* job = daemon_.find(job_);
    job->record.set_epoch(ruling.epoch);
    daemon_.save(*job);
  }
  if (worker_ended_) return settle();
  worker::WorkerRequest request;
  bool here = ruling.decision == Decision::here;
  request.mutable_commit_result()->set_outcome(here ? CommitResult::COMMITTED : CommitResult::REFUSED);
  request.mutable_commit_result()->set_reason(ruling.reason);
  (void)worker_->send(request);  // its end is told of elsewhere
  later(kLastWords, &Departure::kill_worker);
}

void Departure::settle() {
  bool told_moved = verdict_ && verdict_->has_moved();
  bool gone = told_moved || (ruling_ && ruling_->decision == Decision::elsewhere);
  if (gone) return left();
  api::MoveEvent told;
  if (verdict_ && verdict_->has_refused()) {
    *told.mutable_refused() = verdict_->refused();
  } else if (verdict_ && verdict_->has_dry_run()) {
    *told.mutable_dry_run() = verdict_->dry_run();
  } else if (verdict_) {
    *told.mutable_failed() = verdict_->failed();
  } else {
    told.mutable_failed()->set_kind("failed");
    told.mutable_failed()->set_message("the migration was interrupted on " + daemon_.config_.node);
    told.mutable_failed()->set_source_intact(true);
  }
  stays(std::move(told));
}

// The program runs on here.
void Departure::stays(api::MoveEvent told) {
  Job* job = daemon_.find(job_);
  CHECK(job != nullptr);
  // What a killed worker may have left behind: sockets held still, hurried threads, a slowed or frozen cgroup, held
  // consoles.
  if (!verdict_) {
    coprocess::let_go_of_sockets(job->place.cgroup());
    objects::do_as_noted(job->place.run_directory(), job->place.cgroup() + "/procs", job->place.init_pid());
    freeze::end_hurry_in(job->place.cgroup() + "/procs");
    freeze::end_slowing(job->place.cgroup());
  }
  daemon_.mirrors_.remove(migration_);
  objects::forget_note(job->place.run_directory());
  (void)sys::write_text(job->place.cgroup() + "/procs/cgroup.freeze", "0");
  daemon_.messages_.stayed(*job);
  if (job->init) (void)job->init->release();
  if (job->state == JobState::moving) daemon_.change(*job, JobState::running);
  daemon_.save(*job);
  if (told.has_failed()) {
    daemon_.tell(*job, "move failed", told.failed().message());
  } else if (told.has_refused()) {
    daemon_.tell(*job, "move refused", "to " + to_);
  }
  daemon_.check_alive(job_);
  finish(std::move(told), false);
}

void Departure::left() {
  Job* job = daemon_.find(job_);
  CHECK(job != nullptr);
  api::MoveEvent told;
  auto& moved = *told.mutable_moved();
  moved.set_job(job->record.name());
  moved.set_from(daemon_.config_.node);
  moved.set_to(to_);
  moved.set_method(method_);
  moved.set_epoch(job->record.epoch() + 1);
  if (verdict_ && verdict_->has_moved()) {
    *moved.mutable_report() = verdict_->moved().report();
  } else if (daemon_.mirrors_.serve(migration_)) {
    moved.mutable_report()->set_warning("the worker on " + daemon_.config_.node +
                                        " ended before all memory had left; the rest comes from its mirror");
  } else if (progress_.stage() == "pushing" || progress_.stage() == kCutOff) {
    moved.mutable_report()->set_trouble("the worker on " + daemon_.config_.node + " ended before all memory had left");
  }
  daemon_.change(*job, JobState::gone);
  if (!std::exchange(has_left_, true)) daemon_.messages_.left(*job, to_);
  daemon_.messages_.gone(*job);
  daemon_.forget_departed(job_, to_);
  if (!moved.report().trouble().empty()) {
    worker::WorkerEvent::Failed lost;
    lost.set_kind(std::string(to_string(ErrorKind::peer_lost)));
    lost.set_message(moved.report().trouble());
    *told.mutable_failed() = std::move(lost);  // source_intact stays false
  }
  finish(std::move(told), true);
}

// Whoever asks about the job from now on, asks there.
void Departure::tell_destination(api::MoveEvent told) {
  Daemon* daemon = &daemon_;
  daemon_.background_.run([daemon, id = job_, to = to_, stream = stream_, told = std::move(told)]() mutable {
    if (told.has_moved() && told.moved().has_report()) {
      api::MovedReport report;
      report.set_job(id);
      *report.mutable_moved() = told.moved();
      if (report.ByteSizeLong() > kLargestReport) report.mutable_moved()->mutable_report()->clear_files();
      auto noted = daemon->peers_.tell_moved(to, report);
      if (!noted) spdlog::info("job {}: {} keeps no report of its move: {}", id, to, noted.error().message());
    }
    stream->add(std::move(told));
  });
}

// The last event is given out when nothing of the migration is left, here or there.
void Departure::finish(api::MoveEvent told, bool departed) {
  Daemon* daemon = &daemon_;
  daemon_.moves_.add(method_.empty() ? "unknown" : method_, told);  // that of an earlier daemon did not say
  if (departed) {
    tell_destination(std::move(told));
  } else if (!worker_) {
    stream_->add(std::move(told));
  } else {
    daemon_.background_.run(
        [daemon, to = to_, migration = migration_, stream = stream_, told = std::move(told)]() mutable {
          // A node that cannot be reached notices by itself. One that can knows better than we why it ended the
          // connection.
          auto why = daemon->peers_.abandon(to, migration);
          bool ended_there = told.has_failed() && told.failed().kind() == to_string(ErrorKind::peer_lost);
          if (ended_there && why && !why->empty())
            told.mutable_failed()->set_message(told.failed().message() + "; " + to + ": " + *why);
          stream->add(std::move(told));
        });
  }
  daemon_.loop_.post([daemon, id = job_, migration = migration_] {
    auto present = daemon->departures_.find(id);
    if (present != daemon->departures_.end() && present->second->migration_ == migration)
      daemon->departures_.erase(present);
  });
}

}  // namespace godwit::node
