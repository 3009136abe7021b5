#include "node/daemon.h"

#include <spdlog/spdlog.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <filesystem>
#include <thread>

#include "coprocess/logical_host.h"
#include "node/arrival.h"
#include "node/departure.h"
#include "sys/cgroup_mount.h"
#include "sys/spawn.h"
#include "sys/text_file.h"

namespace godwit::node {

namespace fs = std::filesystem;

namespace {
constexpr std::chrono::seconds kHeartbeat(2);
constexpr std::chrono::seconds kLease(8);
constexpr size_t kKeptEvents = 1000;

int64_t unix_ms() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}
}  // namespace

Daemon::Daemon(Config config, EventLoop& loop, Peers& peers, std::unique_ptr<directory::Directory> directory)
    : config_(std::move(config)), loop_(loop), peers_(peers), directory_(std::move(directory)) {}

Daemon::~Daemon() = default;

Result<void> Daemon::start() {
  TRY(sys::adopt_orphans());
  cgroup_root_ = TRY(sys::cgroup2_mount()) + "/" + (config_.cgroup.empty() ? "godwit" : config_.cgroup);
  std::error_code failed;
  for (const std::string& path : {config_.run_directory + "/jobs", config_.state_directory + "/jobs", cgroup_root_}) {
    fs::create_directories(path, failed);
    if (failed) return error(ErrorKind::failed, "cannot make " + path + ": " + failed.message());
  }
  recover_jobs();
  heartbeat();
  reap();
  return {};
}

Job* Daemon::find(const std::string& id) {
  auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : found->second.get();
}

Result<Job*> Daemon::running(const std::string& id) {
  Job* job = find(id);
  if (job == nullptr) return error(ErrorKind::gone, "there is no job " + id + " on " + config_.node);
  if (job->state != JobState::running && job->state != JobState::moving) {
    return error(ErrorKind::unsupported, "job " + job->record.name() + " is not running: it has " +
                                             std::string(to_string(job->state)));
  }
  if (!job->init) return error(ErrorKind::retry, "job " + job->record.name() + " cannot be reached just now; try again");
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

std::vector<api::Event> Daemon::events_since(uint64_t& number, std::chrono::milliseconds patience) {
  std::unique_lock lock(events_mutex_);
  events_changed_.wait_for(lock, patience, [&] { return first_event_ + events_.size() > number; });
  std::vector<api::Event> news;
  for (number = std::max(number, first_event_); number < first_event_ + events_.size(); ++number) {
    news.push_back(events_[number - first_event_]);
  }
  return news;
}

// Jobs of an earlier daemon: running ones are found by their godwit-init's socket, ended ones by their status files.
void Daemon::recover_jobs() {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(config_.state_directory + "/jobs", failed)) {
    std::string number = entry.path().filename().string();
    size_t dash = number.rfind('-');
    if (dash != std::string::npos) next_job_ = std::max<uint64_t>(next_job_, std::strtoull(number.c_str() + dash + 1, nullptr, 10) + 1);
    auto job = load_job(entry.path());
    if (job) {
      recover(std::move(*job));
    } else {
      // A job that was on its way here, or whose record was never written: nothing of it can count.
      spdlog::warn("discarding {}: {}", entry.path().string(), job.error().message());
      (void)coprocess::remove_cgroups(cgroup_root_ + "/" + number);
      fs::remove_all(entry.path(), failed);
    }
  }
}

void Daemon::recover(Job loaded) {
  std::string id = loaded.record.id();
  auto& slot = jobs_[id];
  slot = std::make_unique<Job>(std::move(loaded));
  Job& job = *slot;
  if (job.record.state() == api::ENDED) {
    job.state = JobState::ended;
    for (const worker::Console& console : job.record.consoles()) {
      if (console.ended()) job.watch->console_ended(console.number(), console.status());
    }
    return;
  }
  // Had a migration been under way: the program is thawed, its consoles released; the directory says whether it is ours.
  auto entry = directory_->get("job/" + id);
  api::Job known;
  bool elsewhere = entry && *entry && known.ParseFromString((*entry)->value) && known.node() != config_.node;
  job.state = JobState::running;
  if (elsewhere) {
    (void)coprocess::remove_cgroups(job.place.cgroup());
    forget_departed(id, known.node());
    return;
  }
  if (entry && *entry) job.directory_version = (*entry)->version;
  (void)sys::write_text(job.place.cgroup() + "/procs/cgroup.freeze", "0");
  attach_init(id);
  if (job.init) {
    (void)job.init->release();
    tell(job, "found again");
    return;
  }
  auto status = sys::read_text(job.place.state_directory() + "/console-0.status");
  job_ended(job, status ? std::atoi(status->c_str()) : 9);
}

void Daemon::attach_init(const std::string& id) {
  Job* job = find(id);
  auto init = coprocess::InitClient::connect(job->place.run_directory() + "/init.sock");
  if (!init) {
    spdlog::warn("job {}: {}", id, init.error().message());
    return;
  }
  auto states = init->states();
  if (!states || !init->subscribe()) return;
  for (auto& [number, state] : *states) {
    worker::Console* console = find_console(*job, number);
    if (console == nullptr) continue;
    console->set_pid(state.pid);
    if (state.ended && !console->ended()) console_ended(*job, number, state.status);
  }
  job->init.emplace(std::move(*init));
  loop_.watch(job->init->fd(), [this, id] { read_init(id); });
}

// godwit-init of a job: the only process of its `init` cgroup.
int32_t Daemon::init_pid_of(const Job& job) {
  auto text = sys::read_text(job.place.cgroup() + "/init/cgroup.procs");
  return text ? std::atoi(text->c_str()) : 0;
}

void Daemon::read_init(const std::string& id) {
  Job* job = find(id);
  if (job == nullptr || !job->init) return;
  auto frames = job->init->read_frames();
  if (!frames) {
    loop_.forget(job->init->fd());
    job->init.reset();
    if (job->state == JobState::moving) return;  // the migration will tell
    auto status = sys::read_text(job->place.state_directory() + "/console-0.status");
    if (job->state == JobState::running) job_ended(*job, status ? std::atoi(status->c_str()) : 9);
    return;
  }
  for (const auto& frame : *frames) {
    if (frame.type == init::FrameType::ended) {
      if (auto status = coprocess::payload_as<int32_t>(frame)) console_ended(*job, frame.console, *status);
    } else if (frame.type == init::FrameType::log_grew) {
      job->watch->changed();
    }
  }
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
  auto saved = save_job(job);
  if (!saved) spdlog::error("job {}: {}", job.record.id(), saved.error().message());
  background_.run([this, record = job.record, place = job.place, version = job.directory_version] {
    (void)coprocess::remove_cgroups(place.cgroup());
    std::error_code failed;
    fs::remove_all(place.run_directory(), failed);
    if (!place.scratch_directory().empty()) fs::remove_all(place.scratch_directory(), failed);
    auto put = directory_->put("job/" + record.id(), record.SerializeAsString(), directory::Expect::anything(), {});
    if (!put) spdlog::warn("directory: {}", put.error().message());
  });
}

// It runs elsewhere now: nothing of it stays here.
void Daemon::forget_departed(const std::string& id, const std::string& to) {
  Job* job = find(id);
  if (job == nullptr) return;
  tell(*job, "left", "for " + to);
  if (job->init) loop_.forget(job->init->fd());
  job->watch->went();
  background_.run([place = job->place] {
    auto removed = coprocess::remove_cgroups(place.cgroup());
    if (!removed) spdlog::error("{}", removed.error().message());
    std::error_code failed;
    fs::remove_all(place.run_directory(), failed);
    fs::remove_all(place.state_directory(), failed);
    if (!place.scratch_directory().empty()) fs::remove_all(place.scratch_directory(), failed);
  });
  jobs_.erase(id);
}

void Daemon::heartbeat() {
  api::Node self;
  self.set_name(config_.node);
  self.set_address((config_.address.find(':') == std::string::npos ? config_.address : "[" + config_.address + "]") +
                   ":" + std::to_string(config_.port));
  struct sysinfo info {};
  ::sysinfo(&info);
  self.set_processors(std::thread::hardware_concurrency());
  self.set_load(static_cast<double>(info.loads[0]) / (1 << SI_LOAD_SHIFT));
  self.set_memory_bytes(uint64_t{info.totalram} * info.mem_unit);
  self.set_memory_free_bytes(uint64_t{info.freeram} * info.mem_unit);
  self.set_jobs(static_cast<uint32_t>(std::count_if(jobs_.begin(), jobs_.end(), [](auto& entry) {
    return entry.second->state == JobState::running || entry.second->state == JobState::moving;
  })));
  utsname names{};
  ::uname(&names);
  self.set_kernel(names.release);
  self.set_version(GODWIT_VERSION);
  self.set_directory(config_.directory_node.empty());
  background_.run([this, self] {
    std::string value = self.SerializeAsString();
    auto up = directory_->put("up/" + self.name(), value, directory::Expect::anything(), kLease);
    auto known = directory_->put("node/" + self.name(), value, directory::Expect::anything(), {});
    if (!up || !known) spdlog::warn("directory: {}", (up ? known : up).error().message());
    learn_nodes();
  });
  loop_.after(kHeartbeat, [this] { heartbeat(); });
}

void Daemon::learn_nodes() {
  auto entries = directory_->list("node/");
  if (!entries) return;
  for (const auto& entry : *entries) {
    api::Node node;
    if (!node.ParseFromString(entry.value) || node.name() == config_.node) continue;
    size_t colon = node.address().rfind(':');
    std::string host = node.address().substr(0, colon);
    if (host.starts_with("[")) host = host.substr(1, host.size() - 2);
    unsigned port = static_cast<unsigned>(std::strtoul(node.address().c_str() + colon + 1, nullptr, 10));
    peers_.set_address(node.name(), host, port);
  }
}

Result<api::NodesReply> Daemon::nodes() {
  api::NodesReply reply;
  for (const auto& entry : TRY(directory_->list("node/"))) {
    api::Node node;
    if (!node.ParseFromString(entry.value)) continue;
    auto up = TRY(directory_->get("up/" + node.name()));
    node.set_up(up.has_value());
    node.set_self(node.name() == config_.node);
    *reply.add_nodes() = std::move(node);
  }
  return reply;
}

void Daemon::reap() {
  sys::reap_children();
  loop_.after(std::chrono::milliseconds(500), [this] { reap(); });
}

}  // namespace godwit::node
