#include "node/departure.h"

#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include "sys/text_file.h"

namespace godwit::node {

using CommitResult = worker::WorkerRequest::CommitResult;

namespace {

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) == 1);
  return bytes;
}

std::string hexadecimal(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) text += {kDigits[byte >> 4], kDigits[byte & 15]};
  return text;
}

}  // namespace

Result<std::shared_ptr<MoveStream>> Daemon::move(const std::string& id, const api::MoveRequest& request) {
  std::string method = request.memory().empty() ? "total" : request.memory();
  if (method != "total") {
    return error(ErrorKind::unsupported, "this version moves memory by total freezing only: use --memory total");
  }
  api::PrepareRequest preparation;
  TRY(loop_.call([&]() -> Result<void> {
    Job* job = TRY(running(id));
    if (job->state == JobState::moving) return error(ErrorKind::retry, "job " + job->record.name() + " is already being moved");
    if (request.to() == config_.node) {
      return error(ErrorKind::corrupt, "job " + job->record.name() + " is already on " + config_.node);
    }
    if (peers_.address_of(request.to()).empty()) {
      return error(ErrorKind::gone, "there is no node " + request.to() + "; `godwit nodes` lists them");
    }
    change(*job, JobState::moving);
    *preparation.mutable_job() = job->record;
    *preparation.mutable_place() = job->place;
    *preparation.mutable_consoles() = job->record.consoles();
    preparation.set_epoch(job->record.epoch());
    return {};
  }));
  std::string migration = hexadecimal(random_bytes(8));
  preparation.set_migration(migration);
  preparation.set_source_node(config_.node);
  preparation.set_token(random_bytes(32));
  preparation.mutable_options()->set_memory(method);
  preparation.mutable_options()->set_dry_run(request.dry_run());
  preparation.mutable_options()->set_timeout_ms(request.timeout_ms());
  preparation.mutable_options()->set_max_freeze_ms(request.max_freeze_ms());
  preparation.mutable_options()->set_fault(config_.fault);
  auto stream = std::make_shared<MoveStream>();
  auto prepared = peers_.prepare(request.to(), preparation);

  auto started = loop_.call([&]() -> Result<void> {
    Job* job = find(id);
    if (job == nullptr) return error(ErrorKind::gone, "the job ended");
    auto outcome = [&]() -> Result<void> {
      if (!prepared) return std::unexpected(prepared.error());
      worker::SourceOrder order;
      *order.mutable_place() = job->place;
      *order.mutable_consoles() = job->record.consoles();
      order.mutable_destination()->set_host(prepared->host());
      order.mutable_destination()->set_port(prepared->port());
      transport::TlsFiles tls = transport::tls_files_in(config_.state_directory + "/tls");
      order.mutable_tls()->set_certificate(tls.certificate);
      order.mutable_tls()->set_key(tls.key);
      order.mutable_tls()->set_authority(tls.authority);
      order.set_token(preparation.token());
      *order.mutable_options() = preparation.options();
      order.set_migration(migration);
      order.set_source_node(config_.node);
      order.set_destination_node(request.to());
      order.set_epoch(job->record.epoch());
      departures_[id] = std::make_unique<Departure>(*this, id, request.to(), migration, stream);
      return departures_[id]->start(order);
    }();
    if (!outcome) {
      departures_.erase(id);
      if (job->state == JobState::moving) change(*job, JobState::running);
    }
    return outcome;
  });
  if (!started) {
    std::string name = preparation.job().name();
    return std::move(started.error()).within("cannot move " + name + " to " + request.to() + "; it runs on, on " +
                                             config_.node);
  }
  return stream;
}

Result<void> Daemon::cancel(const std::string& id) {
  return loop_.call([&]() -> Result<void> {
    auto departure = departures_.find(id);
    if (departure == departures_.end()) return error(ErrorKind::gone, "job " + id + " is not being moved");
    departure->second->cancel();
    return {};
  });
}

Departure::Departure(Daemon& daemon, std::string job, std::string to, std::string migration,
                     std::shared_ptr<MoveStream> stream)
    : daemon_(daemon), job_(std::move(job)), to_(std::move(to)), migration_(std::move(migration)),
      stream_(std::move(stream)) {}

Result<void> Departure::start(const worker::SourceOrder& order) {
  method_ = order.options().memory();
  worker::WorkerOrder message;
  *message.mutable_source() = order;
  worker_ = TRY(WorkerProcess::start(daemon_.loop_, message,
                                     {[this](const worker::WorkerEvent& event) { on_event(event); }, [this] { on_end(); }}));
  return {};
}

void Departure::cancel() {
  worker::WorkerRequest request;
  request.mutable_cancel()->set_reason("cancelled by the user");
  if (worker_) (void)worker_->send(request);  // a worker that has ended is told of elsewhere
}

void Departure::finish(api::MoveEvent event) {
  finished_ = true;
  stream_->add(std::move(event));
}

void Departure::on_event(const worker::WorkerEvent& event) {
  api::MoveEvent told;
  Job* job = daemon_.find(job_);
  switch (event.event_case()) {
    case worker::WorkerEvent::kProgress:
      *told.mutable_progress() = event.progress();
      return stream_->add(std::move(told));
    case worker::WorkerEvent::kRefused:
    case worker::WorkerEvent::kDryRun:
      if (job != nullptr && job->state == JobState::moving) daemon_.change(*job, JobState::running);
      if (event.has_refused()) *told.mutable_refused() = event.refused();
      if (event.has_dry_run()) *told.mutable_dry_run() = event.dry_run();
      return finish(std::move(told));
    case worker::WorkerEvent::kFailed: return stays(event.failed());
    case worker::WorkerEvent::kMoved: return left(event.moved().report());
    case worker::WorkerEvent::kFenceWanted:
      return fence([this](CommitResult result) {
        worker::WorkerRequest request;
        *request.mutable_commit_result() = result;
        if (worker_) (void)worker_->send(request);  // its end is told of elsewhere
      });
    default: spdlog::error("a source worker sent an unexpected event"); return;
  }
}

// The migration failed and the program runs on here.
void Departure::stays(const worker::WorkerEvent::Failed& failed) {
  Job* job = daemon_.find(job_);
  api::MoveEvent told;
  *told.mutable_failed() = failed;
  if (job != nullptr) {
    // What a killed worker may have left behind: a frozen cgroup, held consoles.
    (void)sys::write_text(job->place.cgroup() + "/procs/cgroup.freeze", "0");
    if (job->init) (void)job->init->release();
    if (job->state == JobState::moving) daemon_.change(*job, JobState::running);
    daemon_.tell(*job, "move failed", failed.message());
    if (!job->init) daemon_.attach_init(job_);
  }
  finish(std::move(told));
}

void Departure::left(const worker::Report& report) {
  Job* job = daemon_.find(job_);
  api::MoveEvent told;
  auto& moved = *told.mutable_moved();
  moved.set_job(job_);
  moved.set_from(daemon_.config_.node);
  moved.set_to(to_);
  moved.set_method(method_);
  *moved.mutable_report() = report;
  if (job != nullptr) {
    moved.set_job(job->record.name());
    moved.set_epoch(job->record.epoch() + 1);
    daemon_.change(*job, JobState::gone);
    daemon_.forget_departed(job_, to_);
  }
  finish(std::move(told));
}

void Departure::fence(std::function<void(CommitResult)> then) {
  Job* job = daemon_.find(job_);
  if (job == nullptr) return;
  Daemon* daemon = &daemon_;
  daemon_.background_.run([daemon, id = job_, record = job->record, version = job->directory_version, then]() mutable {
    record.set_epoch(record.epoch() + 1);
    record.set_state(api::RUNNING);
    CommitResult result;
    uint64_t new_version = 0;
    for (int attempt = 0; attempt < 60; ++attempt) {
      auto put = daemon->directory_->put("job/" + id, record.SerializeAsString(), directory::Expect::exactly(version), {});
      if (put) {
        new_version = *put;
        result.set_outcome(CommitResult::COMMITTED);
        break;
      }
      if (put.error().kind == ErrorKind::conflict) {
        // Somebody wrote it: the destination by its switchover, or we ourselves in an attempt whose answer was lost.
        auto entry = daemon->directory_->get("job/" + id);
        api::Job now;
        if (entry && *entry && now.ParseFromString((*entry)->value)) {
          bool ours = now.node() == record.node();
          new_version = (*entry)->version;
          result.set_outcome(ours ? CommitResult::COMMITTED : CommitResult::REFUSED);
          break;
        }
      }
      result.set_outcome(CommitResult::UNKNOWN);
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
    daemon->loop_.post([daemon, id, record, new_version, result, then] {
      Job* job = daemon->find(id);
      if (job != nullptr && result.outcome() == CommitResult::COMMITTED) {
        job->directory_version = new_version;
        job->record.set_epoch(record.epoch());
        (void)save_job(*job);
      }
      then(result);
    });
  });
}

// The worker is gone. If it told how things ended, that was all; otherwise the directory decides.
void Departure::on_end() {
  Daemon* daemon = &daemon_;
  std::string id = job_;
  auto discard = [daemon, id, self = this] {
    daemon->loop_.post([daemon, id, self] {
      auto present = daemon->departures_.find(id);
      if (present != daemon->departures_.end() && present->second.get() == self) daemon->departures_.erase(present);
    });
  };
  if (finished_) return discard();
  fence([this, daemon, id, discard](CommitResult result) {
    if (result.outcome() == CommitResult::REFUSED) {
      left(worker::Report());
    } else {
      worker::WorkerEvent::Failed failed;
      failed.set_kind("failed");
      failed.set_message("the migration's worker on " + daemon_.config_.node + " ended unexpectedly");
      failed.set_source_intact(result.outcome() == CommitResult::COMMITTED);
      stays(failed);
      std::string to = to_, migration = migration_;
      daemon->background_.run([daemon, to, migration] { (void)daemon->peers_.abandon(to, migration); });
    }
    discard();
  });
}

}  // namespace godwit::node
