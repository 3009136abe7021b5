#include "lab/node.h"

#include <fcntl.h>
#include <sched.h>

#include <charconv>
#include <filesystem>

#include "lab/child_task.h"
#include "lab/node_root.h"
#include "proc/stat.h"
#include "sys/byte_stream.h"
#include "sys/child_process.h"
#include "sys/durable_file.h"
#include "sys/namespaces.h"
#include "sys/text_file.h"

namespace godwit::lab {
namespace {

namespace fs = std::filesystem;

constexpr int kNodeNamespaces = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;

std::string pid_file(const std::string& lab, const std::string& part) {
  return run_directory(lab) + "/" + part + ".pid";
}

Result<uint64_t> start_time_of(pid_t pid) {
  return TRY(proc::parse_stat(TRY(sys::read_text("/proc/" + std::to_string(pid) + "/stat")))).start_time_ticks;
}

// Becomes godwit-init, which only reaps here.
Error become_init(const Record& record, const std::string& log) {
  auto prepared = [&]() -> Result<std::string> {
    auto null = TRY(sys::open_file("/dev/null", O_RDONLY));
    auto out = TRY(sys::open_file(log, O_WRONLY | O_CREAT | O_APPEND, 0644));
    TRY(sys::set_standard_streams(null.get(), out.get(), out.get()));
    TRY(sys::close_others_on_exec(3));
    return find_program(record.programs, "godwit-init");
  }();
  if (!prepared) return std::move(prepared.error());
  sys::reset_signals();
  const std::string arguments[] = {"godwit-init", "--node"};
  const std::string environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  return sys::execute(*prepared, arguments, environment);
}

// The child that makes namespaces and then, in them, the process that stays.
Result<pid_t> start_part(const Record& record, const LabCgroup& cgroup, const std::string& part, int namespaces,
                         const std::function<Result<void>()>& build, const std::string& log) {
  TRY(cgroup.make(part));
  std::string pid_text = TRY(run_in_child([&]() -> Result<std::string> {
                               TRY(cgroup.enter(part));
                               TRY(sys::new_session());
                               TRY(sys::unshare_namespaces(namespaces | CLONE_NEWPID));
                               pid_t pid = TRY(start_in_child([&]() -> Error {
                                 if (auto built = build(); !built) return std::move(built.error());
                                 return become_init(record, log);
                               }));
                               return std::to_string(pid);
                             }).within(part));
  pid_t pid = 0;
  std::from_chars(pid_text.data(), pid_text.data() + pid_text.size(), pid);
  uint64_t start_time = TRY(start_time_of(pid).within(part + " ended at once"));
  TRY(sys::replace_file(pid_file(record.lab, part), pid_text + " " + std::to_string(start_time) + "\n", 0644));
  return pid;
}

}  // namespace

Result<pid_t> start_node(const Record& record, const LabCgroup& cgroup, uint32_t node) {
  auto build = [&]() -> Result<void> {
    TRY(sys::set_hostname(node_name(node)));
    return enter_node_root(record, node);
  };
  return start_part(record, cgroup, node_name(node), kNodeNamespaces, build, "/run/godwit/godwitd.log");
}

Result<pid_t> start_bridge(const Record& record, const LabCgroup& cgroup) {
  return start_part(record, cgroup, "bridge", CLONE_NEWNET, [] { return Result<void>(); }, "/dev/null");
}

Result<pid_t> find_node(const Record& record, uint32_t node) {
  std::string text = TRY(sys::read_text(pid_file(record.lab, node_name(node))));
  pid_t pid = 0;
  uint64_t start_time = 0;
  const char* end = text.data() + text.size();
  auto first = std::from_chars(text.data(), end, pid);
  if (first.ptr < end) std::from_chars(first.ptr + 1, end, start_time);
  auto now = start_time_of(pid);
  if (!now || *now != start_time)
    return error(ErrorKind::gone, node_name(node) + " of lab " + record.lab + " has ended");
  return pid;
}

Result<pid_t> start_inside(const LabCgroup& cgroup, uint32_t node, pid_t init, const std::function<Error()>& task) {
  auto target = TRY(sys::open_pidfd(init));
  auto own = TRY(sys::open_namespace(0, "pid"));
  TRY(sys::join_namespaces(target.get(), CLONE_NEWPID));  // for the child; the caller stays where it is
  auto child = start_in_child([&]() -> Error {
    auto entered = cgroup.enter(node_name(node));
    if (entered) entered = sys::join_namespaces(target.get(), kNodeNamespaces);
    if (!entered) return std::move(entered.error());
    return task();
  });
  TRY(sys::join_namespaces(own.get(), CLONE_NEWPID));
  return child;
}

Result<std::string> find_program(const std::string& directory, const std::string& name) {
  for (const std::string& path : {directory + "/" + name, directory + "/../libexec/godwit/" + name}) {
    std::error_code code;
    if (fs::exists(path, code)) return path;
  }
  return error(ErrorKind::gone, name + " is not in " + directory + " nor in ../libexec/godwit from there");
}

Result<std::string> own_directory() {
  std::error_code code;
  fs::path program = fs::read_symlink("/proc/self/exe", code);
  if (code) return error(ErrorKind::failed, "/proc/self/exe: " + code.message());
  return program.parent_path().string();
}

}  // namespace godwit::lab
