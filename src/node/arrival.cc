#include "node/arrival.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <future>

#include "node/departure.h"
#include "node/whereabouts.h"
#include "sys/text_file.h"

namespace godwit::node {

using CommitResult = worker::WorkerRequest::CommitResult;

namespace {
using std::chrono::milliseconds;
constexpr milliseconds kAskAgain(300);
constexpr milliseconds kAskSourceAgain(1'000);
constexpr milliseconds kUntilListening(10'000);
constexpr milliseconds kUntilGone(8'000);  // for what an earlier attempt left
}  // namespace

Result<void> Daemon::admit(const api::PrepareRequest& request) {
  // It names directories here, and comes from outside.
  if (!transport::valid_node_name(request.job().id()) || request.migration().empty()) {
    return error(ErrorKind::corrupt, "this is no job's identifier: " + request.job().id());
  }
  if (request.source_makes_switchover() && config_.directory_node != request.source_node()) {
    return error(ErrorKind::denied, request.source_node() + " does not keep the directory");
  }
  if (find(request.job().id()) != nullptr) {
    return error(ErrorKind::conflict, "job " + request.job().name() + " is already on " + config_.node);
  }
  if (clearing_.contains(request.job().id()))
    return error(ErrorKind::retry, "what it left here is still being cleared away");
  for (auto& [migration, other] : arrivals_) {
    if (other->job() != request.job().id()) continue;
    if (other->given_up()) return error(ErrorKind::retry, "an earlier attempt is still being cleared away");
    return error(ErrorKind::conflict, "the job is already on its way here");
  }
  return {};
}

Result<api::PrepareReply> Daemon::prepare(const api::PrepareRequest& request) {
  auto listening = std::make_shared<std::promise<Result<api::PrepareReply>>>();
  auto prepared = listening->get_future();
  auto deadline = std::chrono::steady_clock::now() + kUntilGone;
  for (;;) {
    auto started = loop_.call([&]() -> Result<void> {
      TRY(admit(request));
      auto arrival = std::make_unique<Arrival>(*this, request);
      TRY(arrival->start([listening](Result<api::PrepareReply> result) { listening->set_value(std::move(result)); }));
      arrivals_[request.migration()] = std::move(arrival);
      return {};
    });
    if (started) break;
    if (started.error().kind != ErrorKind::retry || std::chrono::steady_clock::now() > deadline) {
      return std::unexpected(std::move(started.error()));
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  disk_.wait();
  api::PrepareReply reply = TRY(prepared.get());
  reply.set_host(config_.address);
  return reply;
}

// Returns when nothing of the arrival is left, or it has become a job, or patience ends.
std::string Daemon::abandon(const std::string& migration) {
  auto deadline = std::chrono::steady_clock::now() + kUntilGone;
  while (std::chrono::steady_clock::now() < deadline) {
    bool over = loop_.call([&] {
      auto arrival = arrivals_.find(migration);
      if (arrival != arrivals_.end()) arrival->second->abandon();
      return arrival == arrivals_.end();
    });
    if (over) break;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return loop_.call([&]() -> std::string {
    for (const auto& [failed, why] : failed_arrivals_) {
      if (failed == migration) return why;
    }
    return {};
  });
}

// The source may be through with it before our own worker has said so.
Result<void> Daemon::told_moved(const api::MovedReport& told) {
  if (told.ByteSizeLong() > kLargestReport) return error(ErrorKind::corrupt, "a report of that size");
  return loop_.call([&]() -> Result<void> {
    Job* job = find(told.job());
    if (job != nullptr && job->record.epoch() == told.moved().epoch()) {
      job->last_move = told.moved();
      save(*job);
      return {};
    }
    for (auto& [migration, arrival] : arrivals_) {
      if (arrival->job() != told.job()) continue;
      arrival->note(told.moved());
      return {};
    }
    return error(ErrorKind::gone, "job " + told.job() + " did not come here by that move");
  });
}

void Daemon::note_failed_arrival(const std::string& migration, std::string why) {
  constexpr size_t kRemembered = 64;
  failed_arrivals_.emplace_front(migration, std::move(why));
  if (failed_arrivals_.size() > kRemembered) failed_arrivals_.pop_back();
}

Result<void> Arrival::start(Told listening) {
  listening_ = std::move(listening);
  const std::string& id = request_.job().id();
  place_ = daemon_.place_for(id);
  place_.set_uid(request_.place().uid());
  place_.set_gid(request_.place().gid());
  *place_.mutable_groups() = request_.place().groups();
  place_.set_name(request_.place().name());
  place_.set_hostname(request_.place().hostname());
  place_.mutable_network()->set_address(request_.job().virtual_address());
  place_.mutable_network()->set_node_address(daemon_.config_.address);
  place_.mutable_network()->set_largest_packet(daemon_.messages_.largest_packet());
  place_.mutable_network()->set_forwarding(request_.job().forwarding());
  daemon_.messages_.expected(request_.job().virtual_address(), request_.source_node());
  // Were this daemon started anew in the middle, it would know what to ask the directory.
  std::error_code failed;
  std::filesystem::create_directories(place_.state_directory(), failed);
  std::filesystem::permissions(place_.state_directory(), std::filesystem::perms::owner_all, failed);
  daemon_.save(future_job());
  worker::WorkerOrder message;
  worker::DestinationOrder& order = *message.mutable_destination();
  *order.mutable_place() = place_;
  order.set_listen_host(daemon_.config_.address);
  transport::TlsFiles tls = transport::tls_files_in(daemon_.config_.state_directory + "/tls");
  order.mutable_tls()->set_certificate(tls.certificate);
  order.mutable_tls()->set_key(tls.key);
  order.mutable_tls()->set_authority(tls.authority);
  order.set_token(request_.token());
  order.set_source_node(request_.source_node());
  order.set_destination_node(daemon_.config_.node);
  order.set_migration(request_.migration());
  order.set_epoch(request_.epoch());
  *order.mutable_options() = request_.options();
  order.set_source_makes_switchover(request_.source_makes_switchover());
  order.mutable_options()->set_fault(daemon_.config_.fault);
  auto worker = WorkerProcess::start(
      daemon_.loop_, message, {[this](const worker::WorkerEvent& event) { on_event(event); }, [this] { on_end(); }});
  if (!worker) {
    daemon_.background_.run([daemon = &daemon_, place = place_] {
      daemon->disk_.wait();
      remove_place(place, Keep::nothing);
    });
    return std::unexpected(std::move(worker.error()));
  }
  worker_ = std::move(*worker);
  look_up();
  later(kUntilListening, &Arrival::too_late);
  return {};
}

void Arrival::later(milliseconds delay, void (Arrival::*what)()) {
  daemon_.loop_.after(delay, [daemon = &daemon_, migration = request_.migration(), what] {
    auto found = daemon->arrivals_.find(migration);
    if (found != daemon->arrivals_.end()) (found->second.get()->*what)();
  });
}

void Arrival::kill_worker() {
  if (!worker_ended_) worker_->kill();
}

void Arrival::too_late() {
  if (listening_) kill_worker();
}

template <class Question, class Answer>
void Arrival::ask_directory(Question question, void (Arrival::*answered)(const Answer&)) {
  daemon_.ask_directory(std::move(question),
                        [daemon = &daemon_, migration = request_.migration(), answered](const Answer& answer) {
                          auto found = daemon->arrivals_.find(migration);
                          if (found != daemon->arrivals_.end()) (found->second.get()->*answered)(answer);
                        });
}

void Arrival::look_up() {
  ask_directory([id = job(), from = request_.source_node(), epoch = request_.epoch()](
                    directory::Directory& directory) { return version_of(directory, id, from, epoch); },
                &Arrival::looked_up);
}

// The way that the switchover will take is walked once, while what the frozen program needs is put in place: what takes
// part in it is awake then, and in the caches.
void Arrival::wake_directory() {
  daemon_.ask_directory([id = job(), from = request_.source_node(), epoch = request_.epoch()](
                            directory::Directory& directory) { return version_of(directory, id, from, epoch); },
                        [](const Result<uint64_t>&) {});
}

void Arrival::looked_up(const Result<uint64_t>& version) {
  if (!version) return later(kAskAgain, &Arrival::look_up);
  version_ = *version;
  tell_listening();
  if (commit_wanted_) begin_switchover();
}

// A source that is to make the switchover must know what to compare against: nothing older, since the end of an attempt
// before this one may have changed it, and nothing newer.
void Arrival::tell_listening() {
  if (!listening_ || !port_ || (request_.source_makes_switchover() && !version_)) return;
  api::PrepareReply reply;
  reply.set_port(*port_);
  reply.set_version(version_.value_or(0));
  std::exchange(listening_, nullptr)(reply);
}

void Arrival::on_event(const worker::WorkerEvent& event) {
  switch (event.event_case()) {
    case worker::WorkerEvent::kListening: port_ = event.listening().port(); return tell_listening();
    case worker::WorkerEvent::kProgress: return follow(event.progress().stage());
    case worker::WorkerEvent::kCommitSoon: commit_soon_ = true; return wake_directory();
    case worker::WorkerEvent::kCommitWanted: return begin_switchover();
    case worker::WorkerEvent::kMoved:
      moved_ = event.moved();
      committed_ = true;  // by us, or by the source's daemon
      return adopt();     // it runs here; its memory may still be arriving
    case worker::WorkerEvent::kFailed:
      spdlog::warn("arrival of job {}: {}", request_.job().id(), event.failed().message());
      daemon_.note_failed_arrival(request_.migration(), event.failed().message());
      if (adopted_) lost(event.failed().message());
      if (listening_) {
        std::exchange(listening_,
                      nullptr)(error(ErrorKind::failed, daemon_.config_.node + ": " + event.failed().message()));
      }
      return;
    default: return;
  }
}

// One compare-and-swap: from (source, epoch) to (here, epoch + 1).
void Arrival::begin_switchover() {
  if (!std::exchange(commit_wanted_, true)) wanted_at_ = std::chrono::steady_clock::now();
  if (abandoned_) return kill_worker();
  if (!version_ || committing_) return;  // looked_up() goes on
  committing_ = true;
  try_switchover();
}

api::Job Arrival::arrived() const {
  return arrived_job(request_.job(), request_.source_node(), request_.epoch(), daemon_.config_.node);
}

// The job as it will be here.
Job Arrival::future_job() const {
  Job job;
  job.place = place_;
  job.record = arrived();
  job.record.set_state(api::STARTING);
  return job;
}

void Arrival::try_switchover() {
  ask_directory([record = arrived(), version = *version_](
                    directory::Directory& directory) { return switch_over(directory, record, version); },
                &Arrival::switched);
}

void Arrival::switched(const Ruling& ruling) {
  if (ruling.decision == Decision::unknown) return later(kAskAgain, &Arrival::try_switchover);
  committing_ = false;
  committed_ = ruling.decision == Decision::here;
  auto took = std::chrono::steady_clock::now() - wanted_at_;
  spdlog::debug("job {}: the directory decided in {} us", job(),
                std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  if (worker_ended_) return over();
  worker::WorkerRequest request;
  request.mutable_commit_result()->set_outcome(committed_ ? CommitResult::COMMITTED : CommitResult::REFUSED);
  request.mutable_commit_result()->set_reason(ruling.reason);
  (void)worker_->send(request);  // its end is told of elsewhere
}

void Arrival::follow(const std::string& stage) {
  stage_ = stage;
  if (stage_ == kCutOff) ask_source();
}

void Arrival::ask_source() {
  if (stage_ != kCutOff || worker_ended_) return;
  Daemon* daemon = &daemon_;
  daemon_.background_.run([daemon, from = request_.source_node(), migration = request_.migration()] {
    auto leaving = daemon->peers_.still_leaving(from, migration);
    daemon->loop_.post([daemon, migration, leaving = std::move(leaving)] {
      auto arrival = daemon->arrivals_.find(migration);
      if (arrival != daemon->arrivals_.end()) arrival->second->source_answered(leaving);
    });
  });
}

// A node that does not answer may have the memory still. One that knows nothing of it never will again.
void Arrival::source_answered(const Result<void>& leaving) {
  if (stage_ != kCutOff || worker_ended_) return;
  if (leaving || leaving.error().kind != ErrorKind::gone) return later(kAskSourceAgain, &Arrival::ask_source);
  worker::WorkerRequest request;
  request.mutable_cancel()->set_reason(leaving.error().message());
  (void)worker_->send(request);  // its end is told of elsewhere
}

bool Arrival::wait_longer() {
  if (stage_ != kCutOff || worker_ended_) return false;
  worker::WorkerRequest request;
  request.mutable_switch_();
  (void)worker_->send(request);
  return true;
}

// Memory will not come: the program cannot go on, and nothing of it may run without what it lacks.
void Arrival::lost(const std::string& why) {
  Job* job = daemon_.find(request_.job().id());
  if (job == nullptr || job->state == JobState::ended) return;
  daemon_.tell(*job, "lost", why);
  (void)sys::write_text(place_.cgroup() + "/procs/cgroup.kill", "1");
}

void Arrival::abandon() {
  abandoned_ = true;
  if (!committed_ && !committing_) kill_worker();
}

void Arrival::on_end() {
  worker_ended_ = true;
  if (listening_) {
    std::exchange(listening_, nullptr)(
        error(ErrorKind::failed, "the migration's worker on " + daemon_.config_.node + " ended unexpectedly"));
  }
  if (!committing_) over();  // otherwise switched() goes on from here
}

// What the source's daemon was to do it may have done.
void Arrival::settle() {
  ask_directory([record = arrived()](directory::Directory& directory) { return settle_arrival(directory, record); },
                &Arrival::settled);
}

void Arrival::settled(const Ruling& ruling) {
  if (ruling.decision == Decision::unknown) return later(kAskAgain, &Arrival::settle);
  if (ruling.decision == Decision::elsewhere) return discard();
  committed_ = true;
  over();
}

// The worker is gone. What counts is whether the switchover happened.
void Arrival::over() {
  if (!committed_) return request_.source_makes_switchover() && commit_soon_ ? settle() : discard();
  adopt();
  if (stage_ == "arriving" || stage_ == kCutOff) {
    lost("the worker on " + daemon_.config_.node + " ended before all memory had arrived");
  }
  daemon_.loop_.post([daemon = &daemon_, migration = request_.migration()] { daemon->arrivals_.erase(migration); });
}

void Arrival::adopt() {
  if (std::exchange(adopted_, true)) return;
  const std::string& id = request_.job().id();
  auto& slot = daemon_.jobs_[id];
  slot = std::make_unique<Job>(future_job());
  Job& job = *slot;
  job.last_move = told_;
  if (moved_ && moved_->consoles_size() > 0) *job.record.mutable_consoles() = moved_->consoles();
  for (worker::Console& console : *job.record.mutable_consoles()) {
    console.set_log_path(log_path(place_, console.number()));
    if (console.ended()) job.watch->console_ended(console.number(), console.status());
  }
  daemon_.take_over(job, "arrived from " + request_.source_node());
}

void Arrival::discard() {
  spdlog::info("job {}: did not arrive from {}", job(), request_.source_node());
  Daemon* daemon = &daemon_;
  daemon_.background_.run([daemon, place = place_, migration = request_.migration()] {
    daemon->disk_.wait();
    remove_place(place, Keep::nothing);
    daemon->loop_.post([daemon, migration] { daemon->arrivals_.erase(migration); });
  });
}

}  // namespace godwit::node
