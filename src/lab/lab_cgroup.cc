#include "lab/lab_cgroup.h"

#include <charconv>
#include <chrono>
#include <filesystem>
#include <thread>

#include "lab/directories.h"
#include "proc/mountinfo.h"
#include "sys/text_file.h"

namespace godwit::lab {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> with_descendants(const std::string& path) {
  std::vector<std::string> found{path};
  std::error_code code;
  fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, code);
  for (; !code && at != fs::recursive_directory_iterator(); at.increment(code)) {
    if (at->is_directory(code)) found.push_back(at->path());
  }
  return found;
}

}  // namespace

Result<std::string> cgroup2_mount_point() {
  auto mounts = TRY(proc::parse_mountinfo(TRY(sys::read_text("/proc/self/mountinfo"))));
  for (const proc::Mount& mount : mounts) {
    if (mount.type == "cgroup2") return mount.point;
  }
  return error(ErrorKind::unsupported, "cgroup v2 is not mounted on this machine");
}

Result<LabCgroup> LabCgroup::of(const std::string& lab) {
  return LabCgroup(TRY(cgroup2_mount_point()) + "/godwit-lab/" + lab);
}

Result<void> LabCgroup::make(const std::string& part) const { return make_directories(path_ + "/" + part); }

Result<void> LabCgroup::enter(const std::string& part) const {
  return sys::write_text(path_ + "/" + part + "/cgroup.procs", "0");
}

std::vector<pid_t> LabCgroup::processes(const std::string& part) const {
  std::vector<pid_t> pids;
  for (const std::string& directory : with_descendants(path_ + "/" + part)) {
    auto text = sys::read_text(directory + "/cgroup.procs");
    if (!text) continue;  // it went meanwhile
    const char* at = text->data();
    const char* end = at + text->size();
    pid_t pid = 0;
    for (; at < end; ++at) {
      auto [next, code] = std::from_chars(at, end, pid);
      if (code != std::errc()) break;
      pids.push_back(pid);
      at = next;
    }
  }
  return pids;
}

Result<void> LabCgroup::remove() const {
  std::error_code code;
  if (!fs::exists(path_, code)) return {};
  TRY(sys::write_text(path_ + "/cgroup.kill", "1"));
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  for (;;) {
    auto directories = with_descendants(path_);
    for (auto at = directories.rbegin(); at != directories.rend(); ++at) fs::remove(*at, code);  // the deepest first
    if (!fs::exists(path_, code)) break;
    if (std::chrono::steady_clock::now() > end) {
      return error(ErrorKind::exhausted, path_ + " still has processes after 15 s");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  fs::remove(fs::path(path_).parent_path(), code);  // stays while there are other labs
  return {};
}

}  // namespace godwit::lab
