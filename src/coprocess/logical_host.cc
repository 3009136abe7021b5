#include "coprocess/logical_host.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "coprocess/job_mounts.h"
#include "init/protocol.h"
#include "sys/byte_stream.h"
#include "sys/child_process.h"
#include "sys/clone.h"
#include "sys/descriptors.h"
#include "sys/namespaces.h"
#include "sys/network_visit.h"
#include "sys/text_file.h"
#include "sys/unix_socket.h"

namespace godwit::coprocess {

namespace {

constexpr uint64_t kNamespaces =
    CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;

std::string beside_this_program(const std::string& name) {
  std::error_code ignored;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return self.parent_path() / name;
}

// The time namespace for children made from now on. Offsets can only be written before anybody is in it.
Result<void> prepare_clocks(const TimeOffsets& offsets) {
  TRY(sys::unshare_namespaces(CLONE_NEWTIME));
  constexpr int64_t kSecond = 1'000'000'000;
  auto line = [](const char* clock, int64_t offset) {
    int64_t seconds = offset / kSecond - (offset % kSecond < 0 ? 1 : 0);
    return std::string(clock) + " " + std::to_string(seconds) + " " + std::to_string(offset - seconds * kSecond) + "\n";
  };
  return sys::write_text("/proc/self/timens_offsets",
                         line("monotonic", offsets.monotonic_ns) + line("boottime", offsets.boottime_ns));
}

Result<void> make_directories(const LogicalHostSpec& spec) {
  namespace fs = std::filesystem;
  std::error_code failed;
  for (const std::string& path : {spec.place.cgroup() + "/init", spec.place.cgroup() + "/procs",
                                  spec.place.run_directory(), spec.place.state_directory()}) {
    fs::create_directories(path, failed);
    if (failed) return error(ErrorKind::failed, "cannot make " + path + ": " + failed.message());
  }
  fs::permissions(spec.place.state_directory(), fs::perms::owner_all, failed);
  if (spec.place.scratch_directory().empty()) return {};
  return sys::make_private_directory(spec.place.scratch_directory(), spec.place.uid(), spec.place.gid());
}

struct InitDescriptors {
  UniqueFd listening, cgroup, worker;
};

// In the child, already pid 1 of the new namespaces: the world the job sees, then godwit-init.
Result<void> become_init(const LogicalHostSpec& spec, const InitDescriptors& given, int report) {
  TRY(sys::new_session());
  TRY(sys::set_hostname(spec.place.hostname()));
  TRY(make_job_mounts());
  TRY(bring_loopback_up());
  UniqueFd null = TRY(sys::open_file("/dev/null", O_RDWR));
  TRY(sys::set_standard_streams(null.get(), null.get(), null.get()));
  TRY(sys::duplicate_to(given.listening.get(), 3));
  TRY(sys::duplicate_to(given.cgroup.get(), 4));
  if (given.worker.valid()) TRY(sys::duplicate_to(given.worker.get(), init::kWorkerPidfd));
  TRY(sys::duplicate_to(report, 5, true));
  std::vector<std::string> arguments{"godwit-init", "--job", "3", "4", spec.place.state_directory()};
  return sys::execute(beside_this_program("godwit-init"), arguments, {});
}

[[noreturn]] void child(const LogicalHostSpec& spec, const InitDescriptors& given, int report) {
  sys::reset_signals();
  auto failed = become_init(spec, given, report);
  std::string text = failed.error().message();
  bool told = static_cast<bool>(sys::write_all(report, text));
  ::_exit(told ? 1 : 2);
}

// The kernel lists the connections of a network by walking the whole table they are in; in the one that is common to
// all that takes milliseconds. A job's network has its own (half as many may wait in TIME_WAIT). Source:
// Documentation/networking/ip-sysctl.rst, tcp_child_ehash_entries: of what is made from the namespace where it is set;
// Linux 6.1.
Result<sys::Cloned> start_init(const LogicalHostSpec& spec, const InitDescriptors& given, int cgroup, int report) {
  sys::Cloned init;
  TRY(sys::in_new_network([&]() -> Result<void> {
    (void)sys::write_text("/proc/sys/net/ipv4/tcp_child_ehash_entries", "8192");  // before 6.1: all share one
    init = TRY(sys::clone_process(kNamespaces, cgroup));
    if (init.pid == 0) child(spec, given, report);
    return {};
  }));
  return init;
}

}  // namespace

Result<LogicalHost> LogicalHost::create(const LogicalHostSpec& spec) {
  LogicalHost host;
  host.cgroup_ = spec.place.cgroup();  // from here on the destructor cleans up
  TRY(make_directories(spec));
  UniqueFd init_cgroup = TRY(sys::open_file(spec.place.cgroup() + "/init", O_RDONLY | O_DIRECTORY));
  host.procs_ = TRY(sys::open_file(spec.place.cgroup() + "/procs", O_RDONLY | O_DIRECTORY));
  InitDescriptors given;
  // All far above the numbers they will have in godwit-init.
  given.listening =
      TRY(sys::duplicate_above(TRY(sys::listen_unix(spec.place.run_directory() + "/init.sock")).get(), 200));
  given.cgroup = TRY(sys::duplicate_above(host.procs_.get(), 200));
  if (spec.pass_worker_pidfd) given.worker = TRY(sys::duplicate_above(TRY(sys::open_pidfd(::getpid())).get(), 200));
  sys::PipeEnds report = TRY(sys::make_pipe());
  UniqueFd report_end = TRY(sys::duplicate_above(report.write.get(), 200));
  report.write.reset();
  TRY(prepare_clocks(spec.clocks));
  sys::Cloned init = TRY(start_init(spec, given, init_cgroup.get(), report_end.get()));
  host.init_pid_ = init.pid;
  host.init_pidfd_ = std::move(init.pidfd);
  report_end.reset();
  std::string failure = TRY(sys::read_to_end(report.read.get()));
  if (!failure.empty()) return error(ErrorKind::failed, "cannot start godwit-init: " + failure);
  return host;
}

LogicalHost::~LogicalHost() {
  if (!cgroup_.empty()) (void)remove_cgroups(cgroup_);  // the daemon looks again
}

Result<void> LogicalHost::enter() const {
  TRY(sys::join_namespaces(init_pidfd_.get(), CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS));
  return {};
}

Result<void> remove_cgroups(const std::string& cgroup) {
  namespace fs = std::filesystem;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  std::error_code failed;
  for (const std::string& path : {cgroup + "/procs", cgroup + "/init", cgroup}) {
    if (!fs::exists(path, failed)) continue;
    (void)sys::write_text(path + "/cgroup.kill", "1");  // what has ended already needs no killing
    while (!fs::remove(path, failed) && fs::exists(path)) {
      if (std::chrono::steady_clock::now() > deadline) {
        return error(ErrorKind::exhausted, "processes in " + path + " do not end");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return {};
}

}  // namespace godwit::coprocess
