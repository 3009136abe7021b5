#include "objects/process_state.h"

#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "objects/resource_limits.h"
#include "proc/status.h"
#include "sys/ptrace.h"
#include "sys/text_file.h"

namespace godwit::objects {

namespace {

constexpr int kMostPending = 1000;
constexpr uint32_t kMostUmask = 0777;
constexpr int kMostOomScore = 1000;
constexpr uint64_t kCoreFilterBits = 0x1ff;  // core(5)

std::string proc_file(pid_t host_pid, const char* name) { return "/proc/" + std::to_string(host_pid) + "/" + name; }

template <class Int>
Result<Int> read_number(const std::string& path, int base) {
  std::string text = TRY(sys::read_text(path));
  if (text.empty()) return error(ErrorKind::gone, path + " is empty: the process is ending");
  Int number{};
  auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (failed != std::errc()) return error(ErrorKind::corrupt, path);
  return number;
}

}  // namespace

Result<void> read_process_ahead(pid_t host_pid, image::Process& process) {
  TRY(capture_limits(host_pid, process));
  process.set_personality(TRY(read_number<uint32_t>(proc_file(host_pid, "personality"), 16)));
  process.set_oom_score_adj(TRY(read_number<int32_t>(proc_file(host_pid, "oom_score_adj"), 10)));
  process.set_core_filter(TRY(read_number<uint64_t>(proc_file(host_pid, "coredump_filter"), 16)));
  return {};
}

Result<void> ProcessStateQuestions::add(freeze::CallBatch& batch, pid_t host_pid) {
  proc::Status status = TRY(proc::parse_status(TRY(sys::read_text(proc_file(host_pid, "status")))));
  auto listed = TRY(proc::parse_timers(TRY(sys::read_text(proc_file(host_pid, "timers")))));
  umask_ = status.umask;
  name_ = status.name;
  constexpr uint64_t kOnChildren = uint64_t{1} << (SIGCHLD - 1);  // SA_NOCLDWAIT counts with the default action too
  actions_.add(batch, status.caught | status.ignored | kOnChildren);
  intervals_.add(batch);
  TRY(timers_.add(batch, listed, status.threads));
  subreaper_ = batch.reserve(sizeof(int));
  subreaper_call_ = batch.add(SYS_prctl, {PR_GET_CHILD_SUBREAPER, value(subreaper_), 0, 0, 0});
  dumpable_call_ = batch.add(SYS_prctl, {PR_GET_DUMPABLE, 0, 0, 0, 0});
  huge_pages_call_ = batch.add(SYS_prctl, {PR_GET_THP_DISABLE, 0, 0, 0, 0});
  return {};
}

Result<void> ProcessStateQuestions::answers(const freeze::CallBatch& batch, const TidInside& tid_inside,
                                            image::Process& process) const {
  process.set_umask(umask_);
  process.set_name(name_);
  TRY(actions_.answers(batch, *process.mutable_signal_actions()));
  TRY(intervals_.answers(batch, *process.mutable_interval_timers()));
  TRY(timers_.answers(batch, tid_inside, process));
  if (batch.result(subreaper_call_) == 0) process.set_child_subreaper(batch.read<int>(subreaper_) != 0);
  process.set_dumpable(static_cast<uint32_t>(std::max<int64_t>(batch.result(dumpable_call_), 0)));
  process.set_thp_disabled(batch.result(huge_pages_call_) > 0);
  return {};
}

void take_process_state(const godwit_process_record& record, const proc::Status& status, image::Process& process) {
  static const bool machine_has_huge_pages = ::access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0;
  process.set_umask(record.facts.umask);
  take_signal_actions(record.actions, *process.mutable_signal_actions());
  process.set_child_subreaper(record.facts.subreaper != 0);
  process.set_dumpable(record.facts.dumpable);
  process.set_thp_disabled(machine_has_huge_pages && !status.huge_pages.value_or(true));
}

Result<void> capture_process_pending(pid_t host_pid, const godwit_task_record* record, image::Process& process) {
  uint64_t pending = 0;
  if (record != nullptr) {
    pending = record->process_pending;
  } else {
    pending = TRY(proc::parse_status(TRY(sys::read_text(proc_file(host_pid, "status"))))).process_pending;
  }
  if (pending == 0) return {};
  auto queued = TRY(sys::peek_pending_signals(host_pid, true));
  if (queued.size() > kMostPending) {
    return error(ErrorKind::unsupported, "more than 1000 signals pending for a process");
  }
  for (image::SignalInfo& signal : pending_images(queued, pending)) *process.add_pending() = std::move(signal);
  return {};
}

Result<void> check_process(const image::Process& process) {
  bool sound = process.umask() <= kMostUmask && process.pending_size() <= kMostPending && process.dumpable() <= 2 &&
               process.oom_score_adj() >= -kMostOomScore && process.oom_score_adj() <= kMostOomScore &&
               (process.core_filter() & ~kCoreFilterBits) == 0 && process.threads_size() >= 1;
  if (!sound) return error(ErrorKind::corrupt, "state of process " + std::to_string(process.pid()));
  return {};
}

Result<void> add_process_calls(freeze::CallBatch& batch, const image::Process& process,
                               std::chrono::nanoseconds elapsed, bool restore_timer_ids) {
  batch.add(SYS_umask, {process.umask()});
  batch.add(SYS_personality, {process.personality()});
  if (process.child_subreaper()) batch.add(SYS_prctl, {PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0});
  if (process.thp_disabled()) batch.add(SYS_prctl, {PR_SET_THP_DISABLE, 1, 0, 0, 0});
  // 2 ("readable by root only") comes from the system's own rules and cannot be asked for; 0 is the stricter neighbour
  batch.add(SYS_prctl, {PR_SET_DUMPABLE, process.dumpable() == 1 ? uint64_t{1} : 0, 0, 0, 0});
  TRY(add_signal_actions(batch, process.signal_actions()));
  std::vector<const image::SignalInfo*> pending;
  for (const image::SignalInfo& signal : process.pending()) pending.push_back(&signal);
  TRY(add_process_pending(batch, process.pid(), pending));
  TRY(add_posix_timers(batch, process, elapsed, restore_timer_ids));
  return add_interval_timers(batch, process.interval_timers(), elapsed);
}

Result<void> restore_process(pid_t host_pid, const image::Process& process, const image::Process& present,
                             const Owner& owner) {
  if (present.core_filter() != process.core_filter()) {
    TRY(sys::write_text(
        proc_file(host_pid, "coredump_filter"), "0x" + [&] {
          char text[20];
          auto [end, failed] = std::to_chars(text, text + sizeof text, process.core_filter(), 16);
          return std::string(text, end);
        }()));
  }
  // An owner other than root cannot be protected better from the out-of-memory killer than what the process has now.
  int32_t now = present.oom_score_adj();
  int32_t wanted = owner.uid == 0 ? process.oom_score_adj() : std::max(process.oom_score_adj(), now);
  if (wanted != now) {
    auto written = sys::write_text(proc_file(host_pid, "oom_score_adj"), std::to_string(wanted));
    bool may_not_lower = !written && written.error().kind == ErrorKind::denied && wanted < now;
    if (!may_not_lower) TRY(std::move(written));
  }
  return restore_limits(host_pid, process, present, owner);
}

}  // namespace godwit::objects
