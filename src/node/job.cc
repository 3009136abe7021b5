#include "node/job.h"

#include <spdlog/spdlog.h>

#include <filesystem>

#include "coprocess/logical_host.h"
#include "freeze/slowed_job.h"
#include "sys/durable_file.h"
#include "sys/text_file.h"

namespace godwit::node {

void JobWatch::changed() {
  std::lock_guard lock(mutex_);
  ++now_.changes;
  condition_.notify_all();
}

void JobWatch::console_ended(uint32_t console, int status) {
  std::lock_guard lock(mutex_);
  ++now_.changes;
  now_.ended[console] = status;
  condition_.notify_all();
}

void JobWatch::went() {
  std::lock_guard lock(mutex_);
  ++now_.changes;
  now_.gone = true;
  condition_.notify_all();
}

JobWatch::Snapshot JobWatch::wait(uint64_t seen, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  condition_.wait_for(lock, patience, [&] { return now_.changes != seen; });
  return now_;
}

std::string log_path(const worker::JobPlace& place, uint32_t console) {
  return place.state_directory() + "/console-" + std::to_string(console) + ".log";
}

worker::Console* find_console(Job& job, uint32_t number) {
  for (worker::Console& console : *job.record.mutable_consoles()) {
    if (console.number() == number) return &console;
  }
  return nullptr;
}

std::string stored_form(const Job& job) {
  api::StoredJob stored;
  *stored.mutable_record() = job.record;
  *stored.mutable_place() = job.place;
  if (job.last_move) *stored.mutable_last_move() = *job.last_move;
  return stored.SerializeAsString();
}

Result<void> store_job(const std::string& state_directory, const std::string& stored_form) {
  return sys::replace_file(state_directory + "/job", stored_form, 0600);
}

Result<Job> load_job(const std::string& state_directory) {
  api::StoredJob stored;
  if (!stored.ParseFromString(TRY(sys::read_text(state_directory + "/job")))) {
    return error(ErrorKind::corrupt, state_directory + "/job does not parse");
  }
  Job job;
  job.record = stored.record();
  job.place = stored.place();
  if (stored.has_last_move()) job.last_move = stored.last_move();
  return job;
}

void remove_place(const worker::JobPlace& place, Keep keep) {
  freeze::end_slowing(place.cgroup());
  auto removed = coprocess::remove_cgroups(place.cgroup());
  if (!removed) spdlog::error("job {}: {}", place.job(), removed.error().message());
  std::error_code failed;
  for (const std::string& path : {place.run_directory(), place.scratch_directory()}) {
    if (!path.empty()) std::filesystem::remove_all(path, failed);
  }
  if (keep == Keep::nothing) std::filesystem::remove_all(place.state_directory(), failed);
}

}  // namespace godwit::node
