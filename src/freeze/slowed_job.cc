#include "freeze/slowed_job.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include "sys/text_file.h"

namespace godwit::freeze {

namespace fs = std::filesystem;

namespace {

constexpr long kLeastQuota = 1000;  // microseconds; the kernel's own bound
constexpr long kPeriod = 10'000;    // short, so that a slowed program does not stand still for long
constexpr int kPasses = 50;         // processes may be starting others

std::set<std::string> processes_in(const std::string& directory) {
  auto text = sys::read_text(directory + "/cgroup.procs");
  std::istringstream lines(text.value_or(""));
  std::set<std::string> pids;
  for (std::string pid; std::getline(lines, pid);) pids.insert(pid);
  return pids;
}

// A name that no other job of this machine has: the inode of the job's cgroup is unique to it.
std::string directory_of(const sys::CpuController& controller, const std::string& cgroup) {
  if (controller.version == 2) return cgroup + "/procs";
  struct stat inode{};
  if (::stat((cgroup + "/procs").c_str(), &inode) != 0) return {};
  return controller.directory + "/godwit-" + fs::path(cgroup).filename().string() + "-" + std::to_string(inode.st_ino);
}

// Version 2 gives a cgroup its controllers from the top down.
Result<void> enable(const std::string& mount, const std::string& cgroup) {
  if (!cgroup.starts_with(mount)) return error(ErrorKind::unsupported, cgroup + " is not below " + mount);
  std::string path = mount;
  for (const fs::path& part : fs::path(cgroup.substr(mount.size())).relative_path()) {
    TRY(sys::write_text(path + "/cgroup.subtree_control", "+cpu"));
    path += "/" + part.string();
  }
  return sys::write_text(path + "/cgroup.subtree_control", "+cpu");
}

}  // namespace

Result<SlowedJob> SlowedJob::prepare(const std::string& cgroup) {
  return prepare(TRY(sys::find_cpu_controller()), cgroup);
}

Result<SlowedJob> SlowedJob::prepare(const sys::CpuController& controller, const std::string& cgroup) {
  std::string directory = directory_of(controller, cgroup);
  if (directory.empty()) return error(ErrorKind::gone, "there is no cgroup " + cgroup);
  return SlowedJob(controller, cgroup, directory);
}

SlowedJob::SlowedJob(SlowedJob&& other) noexcept
    : controller_(std::move(other.controller_)),
      cgroup_(std::move(other.cgroup_)),
      directory_(std::exchange(other.directory_, {})),
      held_(other.held_) {}

SlowedJob::~SlowedJob() {
  if (held_ && !directory_.empty()) undo();
}

// Version 1: the job's processes, and those that they start meanwhile.
Result<void> SlowedJob::gather() const {
  for (int pass = 0; pass < kPasses; ++pass) {
    std::set<std::string> missing = processes_in(cgroup_ + "/procs");
    for (const std::string& present : processes_in(directory_)) missing.erase(present);
    if (missing.empty()) return {};
    for (const std::string& pid : missing) {
      auto moved = sys::write_text(directory_ + "/cgroup.procs", pid);
      if (!moved && moved.error().kind != ErrorKind::gone) return moved;
    }
  }
  return error(ErrorKind::exhausted, "the job starts processes faster than they can be slowed down");
}

Result<void> SlowedJob::hold_to(double processors) {
  long period = processors * kPeriod >= kLeastQuota ? kPeriod : std::lround(kLeastQuota / processors);
  std::string quota = std::to_string(std::max(kLeastQuota, std::lround(processors * static_cast<double>(period))));
  held_ = true;
  if (controller_.version == 2) {
    TRY(enable(controller_.mount, cgroup_));
    return sys::write_text(directory_ + "/cpu.max", quota + " " + std::to_string(period));
  }
  std::error_code failed;
  fs::create_directory(directory_, failed);
  if (failed) return error(ErrorKind::failed, "cannot make " + directory_ + ": " + failed.message());
  TRY(let_go());  // so that no combination on the way is refused
  TRY(sys::write_text(directory_ + "/cpu.cfs_period_us", std::to_string(period)));
  TRY(sys::write_text(directory_ + "/cpu.cfs_quota_us", quota));
  return gather();
}

Result<void> SlowedJob::let_go() {
  if (controller_.version == 2) return sys::write_text(directory_ + "/cpu.max", "max");
  return sys::write_text(directory_ + "/cpu.cfs_quota_us", "-1");
}

void SlowedJob::undo() const {
  if (controller_.version == 2) {
    (void)sys::write_text(directory_ + "/cpu.max", "max");
    (void)sys::write_text(cgroup_ + "/cgroup.subtree_control", "-cpu");
    return;
  }
  (void)sys::write_text(directory_ + "/cpu.cfs_quota_us", "-1");
  for (int pass = 0; pass < kPasses; ++pass) {
    for (const std::string& pid : processes_in(directory_)) {
      (void)sys::write_text(controller_.directory + "/cgroup.procs", pid);  // it may have ended
    }
    std::error_code failed;
    fs::remove(directory_, failed);
    if (!failed) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // until those that end have ended
  }
}

void end_slowing(const std::string& cgroup) {
  auto job = SlowedJob::prepare(cgroup);
  if (!job) return;  // nothing can have been slowed
  std::error_code failed;
  if (job->controller_.version == 2 ? !fs::exists(job->directory_ + "/cpu.max", failed)
                                    : !fs::exists(job->directory_, failed)) {
    return;
  }
  job->undo();
}

}  // namespace godwit::freeze
