#include "node/arrival.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <future>

#include "coprocess/logical_host.h"
#include "sys/text_file.h"

namespace godwit::node {

using CommitResult = worker::WorkerRequest::CommitResult;

Result<api::PrepareReply> Daemon::prepare(const api::PrepareRequest& request) {
  auto listening = std::make_shared<std::promise<Result<uint32_t>>>();
  auto port = listening->get_future();
  TRY(loop_.call([&]() -> Result<void> {
    if (find(request.job().id()) != nullptr) {
      return error(ErrorKind::conflict, "job " + request.job().name() + " is already on " + config_.node);
    }
    for (auto& [migration, other] : arrivals_) {
      if (other->job() == request.job().id()) return error(ErrorKind::retry, "the job is already on its way here");
    }
    auto arrival = std::make_unique<Arrival>(*this, request);
    TRY(arrival->start([listening](Result<uint32_t> result) { listening->set_value(std::move(result)); }));
    arrivals_[request.migration()] = std::move(arrival);
    return {};
  }));
  api::PrepareReply reply;
  reply.set_port(TRY(port.get()));
  reply.set_host(config_.address);
  return reply;
}

void Daemon::abandon(const std::string& migration) {
  loop_.call([&] {
    auto arrival = arrivals_.find(migration);
    if (arrival != arrivals_.end()) arrival->second->abandon();
  });
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
  order.mutable_options()->set_fault(daemon_.config_.fault);
  worker_ = TRY(WorkerProcess::start(daemon_.loop_, message,
                                     {[this](const worker::WorkerEvent& event) { on_event(event); }, [this] { on_end(); }}));
  // What the switchover will compare against is read now, while nothing is frozen.
  Daemon* daemon = &daemon_;
  daemon_.background_.run([daemon, id, migration = request_.migration()] {
    auto entry = daemon->directory_->get("job/" + id);
    uint64_t version = entry && *entry ? (*entry)->version : 0;
    daemon->loop_.post([daemon, migration, version] {
      auto arrival = daemon->arrivals_.find(migration);
      if (arrival != daemon->arrivals_.end()) arrival->second->set_version(version);
    });
  });
  return {};
}

void Arrival::on_event(const worker::WorkerEvent& event) {
  switch (event.event_case()) {
    case worker::WorkerEvent::kListening:
      if (listening_) std::exchange(listening_, nullptr)(event.listening().port());
      return;
    case worker::WorkerEvent::kCommitWanted: return switch_over();
    case worker::WorkerEvent::kMoved: moved_ = event.moved(); return;
    case worker::WorkerEvent::kFailed:
      spdlog::warn("arrival of job {}: {}", request_.job().id(), event.failed().message());
      if (listening_) {
        std::exchange(listening_, nullptr)(error(ErrorKind::failed, daemon_.config_.node + ": " + event.failed().message()));
      }
      return;
    default: return;
  }
}

// One compare-and-swap: from (source, epoch) to (here, epoch + 1).
void Arrival::switch_over() {
  if (abandoned_ || version_ == 0) return worker_->kill();
  committing_ = true;
  api::Job record = request_.job();
  record.set_node(daemon_.config_.node);
  record.set_epoch(request_.epoch() + 1);
  record.set_state(api::RUNNING);
  Daemon* daemon = &daemon_;
  daemon_.background_.run([daemon, record, version = version_, migration = request_.migration()] {
    CommitResult result;
    uint64_t new_version = 0;
    auto put = daemon->directory_->put("job/" + record.id(), record.SerializeAsString(),
                                       directory::Expect::exactly(version), {});
    for (int attempt = 0; !put && put.error().kind != ErrorKind::conflict && attempt < 60; ++attempt) {
      // Whether the lost call was carried out only the directory can tell.
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      auto entry = daemon->directory_->get("job/" + record.id());
      api::Job now;
      bool known = entry && *entry && now.ParseFromString((*entry)->value);
      if (known && now.node() == record.node() && now.epoch() == record.epoch()) {
        put = (*entry)->version;
      } else if (known) {
        put = daemon->directory_->put("job/" + record.id(), record.SerializeAsString(),
                                      directory::Expect::exactly(version), {});
      }
    }
    if (put) {
      new_version = *put;
      result.set_outcome(CommitResult::COMMITTED);
    } else {
      result.set_outcome(CommitResult::REFUSED);
      result.set_reason(put.error().message());
    }
    daemon->loop_.post([daemon, migration, result, new_version] {
      auto arrival = daemon->arrivals_.find(migration);
      if (arrival != daemon->arrivals_.end()) arrival->second->switched(result, new_version);
    });
  });
}

void Arrival::switched(const CommitResult& result, uint64_t new_version) {
  committing_ = false;
  committed_ = result.outcome() == CommitResult::COMMITTED;
  new_version_ = new_version;
  if (!worker_ended_) {
    worker::WorkerRequest request;
    *request.mutable_commit_result() = result;
    (void)worker_->send(request);  // its end is told of elsewhere
    return;
  }
  worker_ended_ = false;
  on_end();
}

void Arrival::abandon() {
  abandoned_ = true;
  if (!committed_ && !committing_) worker_->kill();
}

// The worker is gone. What counts is whether the switchover happened.
void Arrival::on_end() {
  if (worker_ended_) return;
  worker_ended_ = true;
  if (listening_) {
    std::exchange(listening_, nullptr)(error(ErrorKind::failed, "the migration's worker on " + daemon_.config_.node + " ended unexpectedly"));
  }
  if (committing_) return;  // switched() goes on from here
  if (committed_) {
    adopt();
  } else {
    discard();
  }
  Daemon* daemon = &daemon_;
  daemon_.loop_.post([daemon, migration = request_.migration()] { daemon->arrivals_.erase(migration); });
}

void Arrival::adopt() {
  // Idempotent, and needed when the worker died between the switchover and its last steps.
  (void)sys::write_text(place_.cgroup() + "/procs/cgroup.freeze", "0");
  const std::string& id = request_.job().id();
  auto& slot = daemon_.jobs_[id];
  slot = std::make_unique<Job>();
  Job& job = *slot;
  job.place = place_;
  job.record = request_.job();
  job.record.set_node(daemon_.config_.node);
  job.record.set_epoch(request_.epoch() + 1);
  job.directory_version = new_version_;
  for (worker::Console& console : *job.record.mutable_consoles()) console.set_log_path(log_path(place_, console.number()));
  if (moved_) job.place.set_init_pid(moved_->init_pid());
  daemon_.change(job, JobState::running);
  daemon_.attach_init(id);
  if (job.init) {
    (void)job.init->ends_taken();
    (void)job.init->release();
  }
  if (!moved_) job.place.set_init_pid(daemon_.init_pid_of(job));
  auto saved = save_job(job);
  if (!saved) spdlog::error("job {}: {}", id, saved.error().message());
  daemon_.tell(job, "arrived", "from " + request_.source_node());
  if (!job.init) {
    auto status = sys::read_text(place_.state_directory() + "/console-0.status");
    daemon_.job_ended(job, status ? std::atoi(status->c_str()) : 9);
  }
}

void Arrival::discard() {
  daemon_.background_.run([place = place_] {
    auto removed = coprocess::remove_cgroups(place.cgroup());
    if (!removed) spdlog::error("{}", removed.error().message());
    std::error_code failed;
    for (const std::string& path : {place.run_directory(), place.state_directory(), place.scratch_directory()}) {
      std::filesystem::remove_all(path, failed);
    }
  });
}

}  // namespace godwit::node
