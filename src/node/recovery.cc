// Jobs that an earlier daemon of this node left: running ones, ended ones, and those that were being moved when it
// ended.
#include <spdlog/spdlog.h>

#include <filesystem>

#include "node/arrival.h"
#include "node/daemon.h"
#include "node/departure.h"
#include "node/switchover.h"
#include "sys/text_file.h"

namespace godwit::node {

void Daemon::recover_jobs() {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(config_.state_directory + "/jobs", failed)) {
    std::string id = entry.path().filename().string();
    size_t dash = id.rfind('-');
    bool ours = dash != std::string::npos && id.substr(0, dash) == config_.node;
    if (ours) next_job_ = std::max<uint64_t>(next_job_, std::strtoull(id.c_str() + dash + 1, nullptr, 10) + 1);
    auto job = load_job(entry.path());
    if (job) {
      recover(std::move(*job));
    } else {
      // It was being started; nobody was told of it.
      spdlog::warn("discarding {}: {}", entry.path().string(), job.error().message());
      clear_place(place_for(id));
    }
  }
}

void Daemon::recover(Job loaded) {
  std::string id = loaded.record.id();
  if (loaded.record.state() == api::STARTING) return settle_recovered_arrival(std::move(loaded));
  auto& slot = jobs_[id];
  slot = std::make_unique<Job>(std::move(loaded));
  Job& job = *slot;
  for (const worker::Console& console : job.record.consoles()) {
    if (console.ended()) job.watch->console_ended(console.number(), console.status());
  }
  if (job.record.state() == api::ENDED) {
    job.state = JobState::ended;
    return;
  }
  if (job.record.state() == api::MOVING) {
    // Its worker may be dead, or alive and without a daemon. Only the directory knows which copy counts.
    job.state = JobState::moving;
    attach_init(id);
    auto& departure = departures_[id];
    departure =
        std::make_unique<Departure>(*this, job.record, "another node", "recovered", std::make_shared<MoveStream>());
    return departure->resume();
  }
  job.state = JobState::running;
  messages_.is_here(job);
  attach_init(id);
  if (job.init) tell(job, "found again");
  check_alive(id);
}

// A migration to here was under way. It counts if its switchover was made.
void Daemon::settle_recovered_arrival(Job loaded) {
  clearing_.insert(loaded.record.id());
  auto job = std::make_shared<Job>(std::move(loaded));
  auto settled = [this, job](const Ruling& ruling) {
    constexpr std::chrono::milliseconds kAskAgain(300);
    if (ruling.decision == Decision::unknown) {
      return loop_.after(kAskAgain, [this, job] { settle_recovered_arrival(std::move(*job)); });
    }
    if (ruling.decision == Decision::elsewhere) return clear_place(job->place);
    std::string id = job->record.id();
    clearing_.erase(id);
    auto& slot = jobs_[id];
    slot = std::make_unique<Job>(std::move(*job));
    take_over(*slot, "found again");
  };
  ask_directory([job](directory::Directory& directory) { return settle_arrival(directory, job->record); }, settled);
}

}  // namespace godwit::node
