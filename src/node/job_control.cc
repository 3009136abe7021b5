// What users ask of jobs that are here: run, list, inspect, exec, signals, input, removal.
#include <spdlog/spdlog.h>

#include <filesystem>
#include <future>

#include "node/arrival.h"
#include "node/daemon.h"
#include "node/departure.h"
#include "node/switchover.h"
#include "node/whereabouts.h"
#include "proc/status.h"
#include "sys/text_file.h"

namespace godwit::node {

namespace {

constexpr std::chrono::seconds kLaunchPatience(30);

int64_t unix_ms() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

std::vector<std::string> environment_for(const google::protobuf::RepeatedPtrField<std::string>& given,
                                         const UserInfo& user, const worker::JobPlace& place) {
  std::vector<std::string> environment;
  for (const std::string& variable : given) {
    if (!variable.starts_with("TMPDIR=") && !variable.starts_with("GODWIT_JOB=")) environment.push_back(variable);
  }
  auto add_missing = [&](const std::string& name, const std::string& value) {
    for (const std::string& variable : environment) {
      if (variable.starts_with(name + "=")) return;
    }
    environment.push_back(name + "=" + value);
  };
  add_missing("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  add_missing("HOME", user.home);
  add_missing("USER", user.name);
  environment.push_back("TMPDIR=" + place.scratch_directory());
  environment.push_back("GODWIT_JOB=" + place.job());
  return environment;
}

bool valid_job_name(const std::string& name) {
  auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  return !name.empty() && name.size() <= 63 && name[0] != '-' && name[0] != '.' && std::ranges::all_of(name, fits);
}

// Programs that `exec` started and that have ended are remembered for a while.
void forget_old_consoles(api::Job& record) {
  constexpr int kRemembered = 16;
  auto& consoles = *record.mutable_consoles();
  auto counts = [](const worker::Console& console) { return console.number() != 0 && console.ended(); };
  int surplus = static_cast<int>(std::count_if(consoles.begin(), consoles.end(), counts)) - kRemembered;
  for (int i = 0; i < consoles.size() && surplus > 0;) {
    if (!counts(consoles[i])) {
      ++i;
      continue;
    }
    consoles.DeleteSubrange(i, 1);
    --surplus;
  }
}

}  // namespace

struct Daemon::Launching {
  std::string id;
  std::unique_ptr<WorkerProcess> worker;
  std::promise<Result<api::RunReply>> done;
  bool told = false;
  void tell(Result<api::RunReply> result) {
    if (!std::exchange(told, true)) done.set_value(std::move(result));
  }
};

worker::JobPlace Daemon::place_for(const std::string& id) {
  worker::JobPlace place;
  place.set_job(id);
  place.set_run_directory(config_.run_directory + "/jobs/" + id);
  place.set_state_directory(config_.state_directory + "/jobs/" + id);
  place.set_cgroup(cgroup_root_ + "/" + id);
  place.set_scratch_directory("/tmp/godwit-" + id);
  return place;
}

std::optional<Located> Daemon::locate_here(const std::string& wanted, const Caller& caller, bool ended_too) {
  return loop_.call([&]() -> std::optional<Located> {
    for (auto& [id, job] : jobs_) {
      bool right_one = id == wanted || (job->record.name() == wanted && (ended_too || job->state != JobState::ended));
      if (right_one && job->state != JobState::gone && caller.may(job->record)) return Located{id, config_.node};
    }
    return std::nullopt;
  });
}

// A running job before one that has ended and had the same name.
Result<Located> Daemon::locate(const std::string& wanted, const Caller& caller) {
  if (auto here = locate_here(wanted, caller, false)) return *here;
  if (caller.forwarded) return error(ErrorKind::gone, "job " + wanted + " is not on " + config_.node);
  std::optional<Located> found;
  bool running = false;
  for (const auto& entry : TRY(directory_->list("job/"))) {
    api::Job job;
    if (!job.ParseFromString(entry.value) || !caller.may(job)) continue;
    bool better = job.id() == wanted || (job.name() == wanted && !running);
    if (!better) continue;
    found = Located{job.id(), job.node()};
    running = job.state() != api::ENDED;
    if (job.id() == wanted) break;
  }
  if (found && found->node != config_.node) return *found;
  if (auto here = locate_here(wanted, caller, true)) return *here;
  if (found) return error(ErrorKind::gone, "job " + wanted + " is no longer kept on " + config_.node);
  return error(ErrorKind::gone, "there is no job " + wanted);
}

Result<std::unique_ptr<Job>> Daemon::new_job(const api::RunRequest& request, const Caller& caller) {
  if (request.command_size() == 0) return error(ErrorKind::corrupt, "no command was given");
  if (!request.user().empty() && caller.uid != 0) {
    return error(ErrorKind::denied, "only root may run a job as another user");
  }
  bool named = !request.name().empty();
  if (named && !valid_job_name(request.name())) {
    return error(ErrorKind::corrupt,
                 "a job's name is made of 1 to 63 letters, digits, '-', '_' and '.' and does not begin "
                 "with '-' or '.': not '" +
                     request.name() + "'");
  }
  UserInfo user = TRY(find_user(request.user(), caller.uid));
  std::string forwarding(request.forwarding().empty() ? forwarding::kDefaultMechanism : request.forwarding());
  TRY(forwarding::find_mechanism(forwarding));
  TRY(Publications::check(request.publish(), caller.uid));
  auto job = std::make_unique<Job>();
  std::string id = config_.node + "-" + std::to_string(loop_.call([this] { return next_job_++; }));
  job->place = place_for(id);
  job->place.set_uid(user.uid);
  job->place.set_gid(user.gid);
  job->place.mutable_groups()->Assign(user.groups.begin(), user.groups.end());
  job->place.set_name(request.name().empty() ? id : request.name());
  job->place.set_hostname(job->place.name());
  api::Job& record = job->record;
  record.set_id(id);
  record.set_name(job->place.name());
  record.set_node(config_.node);
  record.set_home(config_.node);
  record.set_epoch(1);
  record.set_uid(user.uid);
  record.set_user(user.name);
  *record.mutable_command() = request.command();
  record.set_started_unix_ms(unix_ms());
  record.set_forwarding(forwarding);
  *record.mutable_published() = request.publish();
  record.set_link_version(static_cast<uint64_t>(unix_ms()));  // beyond those of an earlier job with the same address
  record.set_terminal(request.terminal());
  record.set_working_directory(request.working_directory());
  worker::Console& console = *record.add_consoles();
  console.set_terminal(request.terminal());
  console.set_rows(request.rows());
  console.set_columns(request.columns());
  console.set_discard_stdin(!request.terminal() && !request.open_stdin());
  console.set_stdin_closed(console.discard_stdin());
  console.set_log_path(log_path(job->place, 0));
  return job;
}

// The name belongs to one job of a user at a time; that of one that has ended may be taken.
Result<void> Daemon::register_job(Job& job) {
  std::string key = "name/" + std::to_string(job.record.uid()) + "/" + job.record.name();
  auto taken = TRY(directory_->get(key));
  directory::Expect expect = directory::Expect::exactly(0);
  if (taken) {
    auto other = TRY(directory_->get("job/" + taken->value));
    api::Job present;
    bool in_use = other && present.ParseFromString(other->value) && present.state() != api::ENDED;
    if (in_use) {
      return error(ErrorKind::conflict, "a job named " + job.record.name() + " runs on " + present.node() +
                                            "; choose another --name or stop it");
    }
    expect = directory::Expect::exactly(taken->version);
    if (other) TRY(directory_->remove("job/" + taken->value, directory::Expect::anything()));
  }
  TRY(directory_->put(key, job.record.id(), expect));
  TRY(claim_address(job));
  TRY(directory_->put(job_key(job.record.id()), job.record.SerializeAsString(), directory::Expect::exactly(0)));
  return {};
}

Result<void> Daemon::claim_address(Job& job) {
  using forwarding::VirtualAddress;
  if (!messages_.ready() || number_ == 0) return {};
  const std::string& id = job.record.id();
  uint64_t serial = std::strtoull(id.c_str() + id.rfind('-') + 1, nullptr, 10);
  for (uint32_t tries = 0; tries < VirtualAddress::kMostNumbers; ++tries) {
    auto number = static_cast<uint32_t>((serial + tries - 1) % VirtualAddress::kMostNumbers + 1);
    VirtualAddress address = VirtualAddress::of(number_, number);
    auto put = directory_->put(address_key(address), id, directory::Expect::exactly(0));
    if (!put && put.error().kind == ErrorKind::conflict) continue;
    TRY(std::move(put));
    job.record.set_virtual_address(address.code);
    job.record.set_vip(sys::to_string(address.version4()));
    job.record.set_vip6(sys::to_string(address.version6()));
    worker::NetworkPlace& network = *job.place.mutable_network();
    network.set_address(address.code);
    network.set_node_address(config_.address);
    network.set_largest_packet(messages_.largest_packet());
    network.set_forwarding(job.record.forwarding());
    return {};
  }
  return error(ErrorKind::exhausted, config_.node + " has no virtual address left for another job");
}

Result<api::RunReply> Daemon::run(const api::RunRequest& request, const Caller& caller) {
  std::unique_ptr<Job> job = TRY(new_job(request, caller));
  UserInfo user = TRY(find_user(request.user(), caller.uid));
  worker::WorkerOrder order;
  worker::Launch& launch = *order.mutable_launch();
  *launch.mutable_command() = request.command();
  for (std::string& variable : environment_for(request.environment(), user, job->place)) {
    *launch.add_environment() = std::move(variable);
  }
  launch.set_working_directory(request.working_directory().empty() ? user.home : request.working_directory());
  *launch.mutable_console() = job->record.consoles(0);
  TRY(register_job(*job));
  *launch.mutable_place() = job->place;
  const api::Job record = job->record;
  auto published = publications_.claim(record);
  if (!published) {
    forget_unstarted(record);
    return std::unexpected(published.error());
  }

  auto launching = std::make_shared<Launching>();
  launching->id = record.id();
  auto done = launching->done.get_future();
  loop_.post([this, launching, order, &job] {
    jobs_[launching->id] = std::move(job);
    WorkerProcess::Callbacks callbacks{
        [this, launching](const worker::WorkerEvent& event) { launched(launching, event); },
        [this, launching] {
          launching->tell(error(ErrorKind::failed, "the launch worker ended unexpectedly"));
          loop_.post([launching] { launching->worker.reset(); });
        }};
    auto worker = WorkerProcess::start(loop_, order, std::move(callbacks));
    if (worker) {
      launching->worker = std::move(*worker);
      loop_.after(kLaunchPatience, [launching] {
        if (!launching->told && launching->worker) launching->worker->kill();
      });
    } else {
      launching->tell(std::unexpected(worker.error()));
    }
  });
  auto result = done.get();
  if (!result) forget_unstarted(record);
  return result;
}

void Daemon::forget_unstarted(const api::Job& record) {
  const std::string& id = record.id();
  loop_.call([&] { jobs_.erase(id); });
  (void)directory_->remove("job/" + id, directory::Expect::anything());
  publications_.withdraw(record);
  free_address(*directory_, record);
  std::error_code failed;
  std::filesystem::remove_all(config_.state_directory + "/jobs/" + id, failed);
  std::filesystem::remove_all("/tmp/godwit-" + id, failed);
}

void Daemon::launched(const std::shared_ptr<Launching>& launching, const worker::WorkerEvent& event) {
  Job* job = find(launching->id);
  if (job == nullptr) return;
  if (event.has_failed()) {
    ErrorKind kind = event.failed().kind() == "gone" ? ErrorKind::gone : ErrorKind::failed;
    launching->tell(error(
        kind, "cannot start " + job->record.command(0) + " on " + config_.node + ": " + event.failed().message()));
  }
  if (!event.has_launched()) return;
  job->place.set_init_pid(event.launched().init_pid());
  job->record.mutable_consoles(0)->set_pid(event.launched().program_pid());
  if (!event.launched().no_network().empty()) {
    spdlog::warn("job {} has no network: {}", launching->id, event.launched().no_network());
    job->place.clear_network();
    background_.run([this, record = job->record] { publications_.withdraw(record); });
    job->record.clear_published();
    for (auto clear : {&api::Job::clear_vip, &api::Job::clear_vip6, &api::Job::clear_virtual_address}) {
      (job->record.*clear)();
    }
  }
  change(*job, JobState::running);
  attach_init(launching->id);
  save(*job);
  tell(*job, "started");
  check_alive(launching->id);  // it may have ended already
  api::RunReply reply;
  reply.set_job(launching->id);
  reply.set_name(job->record.name());
  reply.set_node(config_.node);
  reply.set_pid(event.launched().program_pid());
  launching->tell(std::move(reply));
}

// Processes, threads and memory as they are now.
void Daemon::refresh(Job& job) {
  auto procs = sys::read_text(job.place.cgroup() + "/procs/cgroup.procs");
  if (!procs) return;
  uint32_t processes = 0, threads = 0;
  uint64_t kilobytes = 0;
  size_t at = 0;
  while (at < procs->size()) {
    size_t end = std::min(procs->find('\n', at), procs->size());
    auto text = sys::read_text("/proc/" + procs->substr(at, end - at) + "/status");
    at = end + 1;
    if (!text) continue;
    auto status = proc::parse_status(*text);
    if (!status) continue;
    ++processes;
    threads += status->threads;
    size_t resident = text->find("\nVmRSS:");
    if (resident != std::string::npos) kilobytes += std::strtoull(text->c_str() + resident + 7, nullptr, 10);
  }
  job.record.set_processes(processes);
  job.record.set_threads(threads);
  job.record.set_memory_bytes(kilobytes * 1024);
}

Result<api::ListJobsReply> Daemon::list_here(const Caller& caller, bool all) {
  return loop_.call([&]() -> Result<api::ListJobsReply> {
    api::ListJobsReply reply;
    for (auto& [id, job] : jobs_) {
      if (!caller.may(job->record) || (!all && job->state == JobState::ended)) continue;
      refresh(*job);
      api::Job& record = *reply.add_jobs();
      record = job->record;
      auto departure = departures_.find(id);
      if (departure != departures_.end()) *record.mutable_move() = departure->second->ongoing();
    }
    return reply;
  });
}

Figures Daemon::figures() {
  return loop_.call([&] {
    Figures figures;
    for (JobState state : {JobState::starting, JobState::running, JobState::moving, JobState::ended}) {
      figures.jobs[std::string(to_string(state))] = 0;
    }
    for (auto& [id, job] : jobs_) ++figures.jobs[std::string(to_string(job->state))];
    figures.leaving = departures_.size();
    figures.arriving = arrivals_.size();
    figures.moves = moves_;
    figures.messages = messages_.count_all();
    return figures;
  });
}

Result<std::vector<api::Job>> Daemon::jobs_in_directory(const Caller& caller, bool all) {
  std::vector<api::Job> jobs;
  for (const auto& entry : TRY(directory_->list("job/"))) {
    api::Job job;
    if (job.ParseFromString(entry.value) && caller.may(job) && (all || job.state() != api::ENDED)) jobs.push_back(job);
  }
  return jobs;
}

Result<api::Job> Daemon::inspect(const std::string& id) {
  return loop_.call([&]() -> Result<api::Job> {
    Job* job = find(id);
    if (job == nullptr) return error(ErrorKind::gone, "there is no job " + id);
    refresh(*job);
    api::Job record = job->record;
    if (job->last_move) *record.mutable_last_move() = *job->last_move;
    return record;
  });
}

Result<api::ExecReply> Daemon::exec(const std::string& id, const api::ExecRequest& request, const Caller& caller) {
  if (request.command_size() == 0) return error(ErrorKind::corrupt, "no command was given");
  if (!request.user().empty() && caller.uid != 0) return error(ErrorKind::denied, "only root may choose the user");
  return loop_.call([&]() -> Result<api::ExecReply> {
    Job* job = TRY(running(id));
    if (job->state == JobState::moving) return error(ErrorKind::retry, "the job is being moved; try again");
    uint32_t number = 0;
    for (const auto& console : job->record.consoles()) number = std::max(number, console.number() + 1);
    UserInfo user = TRY(find_user(request.user(), job->record.uid()));
    coprocess::ProgramToStart program;
    program.console = number;
    program.terminal = request.terminal();
    program.discard_stdin = !request.terminal() && !request.open_stdin();
    program.rows = static_cast<uint16_t>(request.rows());
    program.columns = static_cast<uint16_t>(request.columns());
    program.uid = user.uid;
    program.gid = user.gid;
    program.groups = user.groups;
    program.directory =
        request.working_directory().empty() ? job->record.working_directory() : request.working_directory();
    program.log_path = log_path(job->place, number);
    program.command = {request.command().begin(), request.command().end()};
    program.environment = environment_for(request.environment(), user, job->place);
    auto init = TRY(coprocess::InitClient::connect(job->place.run_directory() + "/init.sock"));
    int32_t pid = TRY(init.start(program));
    forget_old_consoles(job->record);
    worker::Console& console = *job->record.add_consoles();
    console.set_number(number);
    console.set_terminal(request.terminal());
    console.set_discard_stdin(program.discard_stdin);
    console.set_stdin_closed(program.discard_stdin);
    console.set_pid(pid);
    console.set_rows(request.rows());
    console.set_columns(request.columns());
    console.set_log_path(program.log_path);
    // It may have ended before we knew of it.
    auto states = TRY(init.states());
    if (states.contains(number) && states[number].ended) console_ended(*job, number, states[number].status);
    save(*job);
    api::ExecReply reply;
    reply.set_console(number);
    reply.set_pid(pid);
    return reply;
  });
}

Result<void> Daemon::signal(const std::string& id, uint32_t console, int number, bool all) {
  return loop_.call([&]() -> Result<void> {
    Job* job = TRY(running(id));
    return job->init->signal(all ? init::kEveryConsole : console, number, false);
  });
}

Result<Daemon::Follow> Daemon::follow(const std::string& id, uint32_t console) {
  return loop_.call([&]() -> Result<Follow> {
    Job* job = find(id);
    if (job == nullptr) return error(ErrorKind::gone, "job " + id + " is not here");
    worker::Console* present = find_console(*job, console);
    if (present == nullptr) return error(ErrorKind::gone, "job " + id + " has no console " + std::to_string(console));
    return Follow{job->watch, log_path(job->place, console), present->terminal()};
  });
}

Result<void> Daemon::window_size(const std::string& id, uint32_t console, uint32_t rows, uint32_t columns) {
  return loop_.call([&]() -> Result<void> {
    Job* job = TRY(running(id));
    if (worker::Console* present = find_console(*job, console)) {
      present->set_rows(rows);
      present->set_columns(columns);
    }
    return job->init->window_size(console, static_cast<uint16_t>(rows), static_cast<uint16_t>(columns));
  });
}

void Daemon::credit(const std::string& id, uint32_t console, uint64_t offset) {
  loop_.post([this, id, console, offset] {
    auto job = running(id);
    if (job) (void)(*job)->init->credit(console, offset);  // a reader's pace is a hint
  });
}

Result<void> Daemon::remove(const std::string& id) {
  auto removed = loop_.call([&]() -> Result<std::string> {
    Job* job = find(id);
    if (job == nullptr) return error(ErrorKind::gone, "there is no job " + id);
    if (job->state != JobState::ended) {
      return error(ErrorKind::unsupported, "job " + job->record.name() + " still runs; stop it first");
    }
    std::error_code failed;
    std::filesystem::remove_all(job->place.state_directory(), failed);
    std::string key = "name/" + std::to_string(job->record.uid()) + "/" + job->record.name();
    job->watch->went();
    jobs_.erase(id);
    return key;
  });
  if (!removed) return std::unexpected(removed.error());
  TRY(directory_->remove(job_key(id), directory::Expect::anything()));
  auto name = TRY(directory_->get(*removed));
  if (!name || name->value != id) return {};  // another job has it now
  auto freed = directory_->remove(*removed, directory::Expect::exactly(name->version));
  if (!freed && freed.error().kind != ErrorKind::conflict) return freed;
  return {};
}

}  // namespace godwit::node
