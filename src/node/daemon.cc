#include "node/daemon.h"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <filesystem>

#include "node/arrival.h"
#include "node/departure.h"
#include "node/page_caches.h"
#include "node/switchover.h"
#include "node/whereabouts.h"
#include "objects/tcp_rest.h"
#include "sys/cgroup_mount.h"
#include "sys/spawn.h"
#include "sys/text_file.h"

namespace godwit::node {

namespace fs = std::filesystem;

namespace {
constexpr size_t kKeptEvents = 1000;
constexpr std::chrono::hours kKeepEnded(1);
constexpr std::chrono::minutes kExpiry(1);
constexpr std::chrono::milliseconds kLookAgain(20);

int64_t unix_ms() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}
}  // namespace

Daemon::Daemon(Config config, EventLoop& loop, Peers& peers, std::unique_ptr<directory::Directory> directory)
    : config_(std::move(config)),
      loop_(loop),
      peers_(peers),
      directory_(std::move(directory)),
      messages_(config_.node, config_.address, config_.tunnel, loop_, peers_, *directory_,
                [this](forwarding::VirtualAddress address) { return find_by_address(address); }),
      publications_(config_.node, *directory_),
      mirrors_(loop_, background_, config_.state_directory) {}

Daemon::~Daemon() = default;

Result<void> Daemon::start() {
  TRY(sys::adopt_orphans());
  cgroup_root_ = TRY(sys::cgroup2_mount()) + "/" + (config_.cgroup.empty() ? "godwit" : config_.cgroup);
  std::error_code failed;
  for (const std::string& path : {config_.run_directory + "/jobs", config_.state_directory + "/jobs", cgroup_root_}) {
    fs::create_directories(path, failed);
    if (failed) return error(ErrorKind::failed, "cannot make " + path + ": " + failed.message());
  }
  auto network = messages_.start();
  if (!network) spdlog::warn("jobs have no network here: {}", network.error().message());
  background_.run([this] { kernel_programs_.load(); });
  recover_jobs();
  mirrors_.recover();
  reap();
  expire_ended();
  return {};
}

Job* Daemon::find(const std::string& id) {
  auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : found->second.get();
}

Job* Daemon::find_by_address(forwarding::VirtualAddress address) {
  for (auto& [id, job] : jobs_) {
    bool here = job->state == JobState::running || job->state == JobState::moving;
    if (here && job->record.virtual_address() == address.code) return job.get();
  }
  return nullptr;
}

Result<Job*> Daemon::running(const std::string& id) {
  Job* job = find(id);
  if (job == nullptr) return error(ErrorKind::gone, "there is no job " + id + " on " + config_.node);
  if (job->state != JobState::running && job->state != JobState::moving) {
    return error(ErrorKind::unsupported, "job " + job->record.name() + " on " + config_.node +
                                             " is not running; its state is: " + std::string(to_string(job->state)));
  }
  if (!job->init)
    return error(ErrorKind::retry, "job " + job->record.name() + " cannot be reached just now; try again");
  return job;
}

void Daemon::change(Job& job, JobState to) {
  CHECK(job.state == to || may_change(job.state, to));
  job.state = to;
  job.record.set_state(to_api(to));
}

void Daemon::tell(const Job& job, std::string what, std::string detail) {
  spdlog::info("job {} ({}): {} {}", job.record.id(), job.record.name(), what, detail);
  api::Event event;
  event.set_unix_ms(unix_ms());
  event.set_job(job.record.id());
  event.set_name(job.record.name());
  event.set_node(config_.node);
  event.set_uid(job.record.uid());
  event.set_what(std::move(what));
  event.set_detail(std::move(detail));
  std::lock_guard lock(events_mutex_);
  events_.push_back(std::move(event));
  if (events_.size() > kKeptEvents) {
    events_.pop_front();
    ++first_event_;
  }
  events_changed_.notify_all();
}

uint64_t Daemon::next_event() {
  std::lock_guard lock(events_mutex_);
  return first_event_ + events_.size();
}

std::vector<api::Event> Daemon::events_since(uint64_t& number, std::chrono::milliseconds patience) {
  std::unique_lock lock(events_mutex_);
  events_changed_.wait_for(lock, patience, [&] { return first_event_ + events_.size() > number; });
  std::vector<api::Event> news;
  for (number = std::max(number, first_event_); number < first_event_ + events_.size(); ++number) {
    news.push_back(events_[number - first_event_]);
  }
  return news;
}

void Daemon::attach_init(const std::string& id) {
  Job* job = find(id);
  auto init = coprocess::InitClient::connect(job->place.run_directory() + "/init.sock");
  if (!init) {
    spdlog::debug("job {}: {}", id, init.error().message());
    return;
  }
  if (!init->subscribe()) return;  // first: whatever ends after the states is told
  auto states = init->states();
  if (!states) return;
  for (auto& [number, state] : *states) {
    worker::Console* console = find_console(*job, number);
    if (console == nullptr) continue;
    console->set_pid(state.pid);
    if (state.ended && !console->ended()) console_ended(*job, number, state.status);
  }
  job->init.emplace(std::move(*init));
  loop_.watch(job->init->fd(), [this, id] { read_init(id); });
}

void Daemon::read_init(const std::string& id) {
  Job* job = find(id);
  if (job == nullptr || !job->init) return;
  auto frames = job->init->read_frames();
  if (!frames) {
    loop_.forget(job->init->fd());
    job->init.reset();
    return check_alive(id);
  }
  for (const auto& frame : *frames) {
    if (frame.type == init::FrameType::ended) {
      if (auto status = coprocess::payload_as<int32_t>(frame)) console_ended(*job, frame.console, *status);
    } else if (frame.type == init::FrameType::log_grew) {
      job->watch->changed();
    }
  }
}

void Daemon::check_alive(const std::string& id) {
  Job* job = find(id);
  if (job == nullptr || job->init || job->state != JobState::running)
    return;  // of a moving job the migration will tell
  attach_init(id);
  if (job->init) return;
  auto present = sys::read_text(job->place.cgroup() + "/init/cgroup.procs");
  if (present && !present->empty()) {
    return loop_.after(kLookAgain, [this, id] { check_alive(id); });
  }
  auto status = sys::read_text(job->place.state_directory() + "/console-0.status");
  job_ended(*job, status ? std::atoi(status->c_str()) : SIGKILL);
}

void Daemon::take_over(Job& job, const std::string& how) {
  auto init = sys::read_text(job.place.cgroup() + "/init/cgroup.procs");
  job.place.set_init_pid(init ? std::atoi(init->c_str()) : 0);
  // Idempotent, and needed when a worker or daemon died between the switchover and its last steps.
  objects::do_as_noted(job.place.run_directory(), job.place.cgroup() + "/procs", job.place.init_pid());
  (void)sys::write_text(job.place.cgroup() + "/procs/cgroup.freeze", "0");
  for (worker::Console& console : *job.record.mutable_consoles()) {
    console.set_log_path(log_path(job.place, console.number()));
    if (console.ended()) job.watch->console_ended(console.number(), console.status());
  }
  change(job, JobState::running);
  messages_.is_here(job);
  messages_.arrived(job);
  attach_init(job.record.id());
  if (job.init) {
    (void)job.init->ends_taken();
    (void)job.init->release();
  }
  save(job);
  tell(job, how);
  check_alive(job.record.id());
}

void Daemon::console_ended(Job& job, uint32_t number, int status) {
  if (worker::Console* console = find_console(job, number)) {
    console->set_ended(true);
    console->set_status(status);
  }
  job.watch->console_ended(number, status);
}

// The program of console 0 has ended: what is left of the logical host goes, status and logs stay.
void Daemon::job_ended(Job& job, int status) {
  change(job, JobState::ended);
  job.record.set_exit_status(status);
  job.record.set_ended_unix_ms(unix_ms());
  for (worker::Console& console : *job.record.mutable_consoles()) {
    if (!console.ended()) console_ended(job, console.number(), console.number() == 0 ? status : 9);
  }
  job.watch->changed();
  tell(job, "ended", std::to_string(status));
  messages_.ended(job);
  save(job);
  background_.run([this, record = job.record, place = job.place] {
    remove_place(place, Keep::record);
    free_address(*directory_, record);
    auto version = version_of(*directory_, record.id(), record.node(), record.epoch());
    if (!version || *version == 0) return;
    auto put = directory_->put(job_key(record.id()), record.SerializeAsString(), directory::Expect::exactly(*version));
    if (!put) spdlog::warn("job {}: {}", record.id(), put.error().message());
    publications_.withdraw(record);
  });
}

// It runs elsewhere now: nothing of it stays here.
void Daemon::forget_departed(const std::string& id, const std::string& to) {
  Job* job = find(id);
  if (job == nullptr) return;
  tell(*job, "left", "for " + to);
  if (job->init) loop_.forget(job->init->fd());
  job->watch->went();
  clear_place(job->place);
  jobs_.erase(id);
}

// Until it is done the job cannot come (back) here.
void Daemon::clear_place(const worker::JobPlace& place) {
  clearing_.insert(place.job());
  background_.run([this, place] {
    disk_.wait();
    remove_place(place, Keep::nothing);
    loop_.post([this, id = place.job()] { clearing_.erase(id); });
  });
}

void Daemon::save(const Job& job) {
  disk_.run([directory = job.place.state_directory(), stored = stored_form(job)] {
    auto done = store_job(directory, stored);
    if (!done) spdlog::error("{}", done.error().message());
  });
}

// Jobs that ended are kept for a while, for `wait` and `logs`.
void Daemon::expire_ended() {
  int64_t oldest = unix_ms() - std::chrono::milliseconds(kKeepEnded).count();
  std::vector<std::string> expired;
  for (auto& [id, job] : jobs_) {
    if (job->state == JobState::ended && job->record.ended_unix_ms() < oldest) expired.push_back(id);
  }
  for (const std::string& id : expired) {
    background_.run([this, id] { (void)remove(id); });  // what fails now is tried again
  }
  background_.run([this] { remove_useless_page_caches(*directory_, config_.state_directory); });
  loop_.after(kExpiry, [this] { expire_ended(); });
}

void Daemon::reap() {
  sys::reap_children();
  loop_.after(std::chrono::milliseconds(500), [this] { reap(); });
}

}  // namespace godwit::node
