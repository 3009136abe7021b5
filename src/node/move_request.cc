// What a user may ask of a job that moves: to begin, to call it off, to switch it to post-copy, to connect again.
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "address_space/streams_choice.h"
#include "freeze/slowed_job.h"
#include "node/arrival.h"
#include "node/departure.h"
#include "node/switchover.h"

namespace godwit::node {

namespace {

using std::chrono::milliseconds;
constexpr const char* kDefaultMethod = "hybrid";
constexpr milliseconds kStillArriving(10'000);  // the memory of the move before

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

worker::SourceOrder source_order(const Config& config, const Job& job, const api::PrepareRequest& preparation,
                                 const api::PrepareReply& prepared, const std::string& to) {
  worker::SourceOrder order;
  *order.mutable_place() = job.place;
  *order.mutable_consoles() = job.record.consoles();
  order.mutable_destination()->set_host(prepared.host());
  order.mutable_destination()->set_port(prepared.port());
  order.mutable_destination()->set_node(to);
  transport::TlsFiles tls = transport::tls_files_in(config.state_directory + "/tls");
  order.mutable_tls()->set_certificate(tls.certificate);
  order.mutable_tls()->set_key(tls.key);
  order.mutable_tls()->set_authority(tls.authority);
  order.set_token(preparation.token());
  *order.mutable_options() = preparation.options();
  order.set_migration(preparation.migration());
  order.set_source_node(config.node);
  order.set_destination_node(to);
  order.set_epoch(job.record.epoch());
  order.set_makes_switchover(preparation.source_makes_switchover());
  order.mutable_place()->mutable_network()->set_forwarding(job.record.forwarding());
  return order;
}

}  // namespace

// From here on the job is `moving`, on disk too: a daemon that is started anew asks the directory first.
Result<api::PrepareRequest> Daemon::begin_move(const std::string& id, const api::MoveRequest& request) {
  api::PrepareRequest preparation;
  preparation.set_migration(hexadecimal(random_bytes(8)));
  preparation.set_source_node(config_.node);
  preparation.set_source_makes_switchover(config_.directory_node.empty());
  preparation.set_token(random_bytes(32));
  preparation.mutable_options()->set_memory(request.memory().empty() ? kDefaultMethod : request.memory());
  preparation.mutable_options()->set_max_rounds(request.max_rounds());
  preparation.mutable_options()->set_on_timeout(request.on_timeout());
  preparation.mutable_options()->set_dry_run(request.dry_run());
  preparation.mutable_options()->set_timeout_ms(request.timeout_ms());
  preparation.mutable_options()->set_max_freeze_ms(request.max_freeze_ms());
  preparation.mutable_options()->set_bandwidth(request.bandwidth());
  preparation.mutable_options()->set_cache(request.cache());
  preparation.mutable_options()->set_streams(request.streams());
  preparation.mutable_options()->set_fault(config_.fault);
  TRY(loop_.call([&]() -> Result<void> {
    Job* job = TRY(running(id));
    if (job->state == JobState::moving) {
      return error(ErrorKind::unsupported,
                   "job " + job->record.name() + " is being moved already; wait for that to end");
    }
    for (const auto& [migration, arrival] : arrivals_) {
      if (arrival->job() != id) continue;
      return error(ErrorKind::retry,
                   "the memory of job " + job->record.name() + " is still arriving; try again in a moment");
    }
    change(*job, JobState::moving);
    *preparation.mutable_job() = job->record;
    *preparation.mutable_place() = job->place;
    *preparation.mutable_consoles() = job->record.consoles();
    preparation.set_epoch(job->record.epoch());
    save(*job);
    return {};
  }));
  disk_.wait();
  return preparation;
}

Result<std::shared_ptr<MoveStream>> Daemon::move(const std::string& id, const api::MoveRequest& request) {
  constexpr std::array<std::string_view, 5> kMethods{"", "total", "precopy", "postcopy", "hybrid"};
  if (std::ranges::find(kMethods, request.memory()) == kMethods.end()) {
    return error(ErrorKind::unsupported,
                 "memory moves by total, precopy, postcopy or hybrid, not by '" + request.memory() + "'");
  }
  if (request.streams() > address_space::kMostStreams) {
    return error(ErrorKind::unsupported, "memory travels by at most " + std::to_string(address_space::kMostStreams) +
                                             " connections, not by " + std::to_string(request.streams()));
  }
  if (request.to() == config_.node) return error(ErrorKind::unsupported, "the job is already on " + config_.node);
  if (request.on_timeout() == "throttle") {
    TRY(sys::find_cpu_controller().within("--on-timeout throttle is not possible on " + config_.node +
                                          ", choose postcopy, freeze or cancel"));
  }
  if (!knows_node(request.to())) {
    return error(ErrorKind::gone, "there is no node " + request.to() + "; `godwit nodes` lists them");
  }
  auto begun = begin_move(id, request);
  auto deadline = std::chrono::steady_clock::now() + kStillArriving;
  while (!begun && begun.error().kind == ErrorKind::retry && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(2));
    begun = begin_move(id, request);
  }
  api::PrepareRequest preparation = TRY(std::move(begun));
  auto stream = std::make_shared<MoveStream>();
  auto prepared = peers_.prepare(request.to(), preparation);

  auto started = loop_.call([&]() -> Result<void> {
    Job* job = find(id);
    CHECK(job != nullptr);  // a job that is moving is in the table
    auto outcome = [&]() -> Result<void> {
      if (!prepared) return std::unexpected(prepared.error());
      auto& departure = departures_[id];
      departure = std::make_unique<Departure>(*this, preparation.job(), request.to(), preparation.migration(), stream);
      worker::SourceOrder order = source_order(config_, *job, preparation, *prepared, request.to());
      for (auto& [name, id] : kernel_programs_.ids()) (*order.mutable_kernel_programs())[name] = id;
      messages_.describe(request.to(), *order.mutable_destination());
      if (request.mirror()) order.set_mirror(mirrors_.path_of(preparation.migration()));
      return departure->start(order, prepared->version());
    }();
    if (outcome) return {};
    departures_.erase(id);
    change(*job, JobState::running);
    save(*job);
    check_alive(id);
    return outcome;
  });
  if (started) return stream;
  (void)peers_.abandon(request.to(), preparation.migration());  // a node that cannot be reached has nothing of it
  return std::move(started.error())
      .within("cannot move " + preparation.job().name() + " to " + request.to() + "; it runs on, on " + config_.node);
}

Result<void> Daemon::cancel(const std::string& id) {
  return loop_.call([&]() -> Result<void> {
    auto departure = departures_.find(id);
    if (departure == departures_.end()) return error(ErrorKind::gone, "job " + id + " is not being moved");
    departure->second->cancel();
    return {};
  });
}

Result<void> Daemon::switch_to_postcopy(const std::string& id) {
  return loop_.call([&]() -> Result<void> {
    auto departure = departures_.find(id);
    if (departure != departures_.end()) return departure->second->switch_to_postcopy();
    Job* job = find(id);
    return error(ErrorKind::unsupported, "job " + (job == nullptr ? id : job->record.name()) +
                                             " is not being moved; there is nothing to switch");
  });
}

Result<void> Daemon::connect_now(const std::string& id) {
  return loop_.call([&]() -> Result<void> {
    auto departure = departures_.find(id);
    if (departure != departures_.end() && departure->second->connect_now()) return {};
    for (auto& [migration, arrival] : arrivals_) {
      if (arrival->job() == id && arrival->wait_longer()) return {};
    }
    Job* job = find(id);
    return error(ErrorKind::unsupported, "job " + (job == nullptr ? id : job->record.name()) +
                                             " waits for no other node; there is nothing to resume");
  });
}

bool Daemon::is_leaving(const std::string& migration) {
  return loop_.call([&] {
    auto serves = [&](const auto& departure) { return departure.second->serves(migration); };
    return std::ranges::any_of(departures_, serves) || mirrors_.has(migration);
  });
}

}  // namespace godwit::node
