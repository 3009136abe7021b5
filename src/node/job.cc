#include "node/job.h"

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

Result<void> save_job(const Job& job) {
  api::StoredJob stored;
  *stored.mutable_record() = job.record;
  *stored.mutable_place() = job.place;
  stored.set_directory_version(job.directory_version);
  return sys::replace_file(job.place.state_directory() + "/job", stored.SerializeAsString(), 0600);
}

Result<Job> load_job(const std::string& state_directory) {
  api::StoredJob stored;
  if (!stored.ParseFromString(TRY(sys::read_text(state_directory + "/job")))) {
    return error(ErrorKind::corrupt, state_directory + "/job does not parse");
  }
  Job job;
  job.record = stored.record();
  job.place = stored.place();
  job.directory_version = stored.directory_version();
  return job;
}

}  // namespace godwit::node
