#include "freeze/kernel_tasks.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_set>

extern "C" const std::byte godwit_kernel_tasks_program[];
extern "C" const std::byte godwit_kernel_tasks_program_end[];

namespace godwit::freeze {

namespace {

using Over = sys::BpfPrograms::Over;

// Above so many processes one pass over all threads is quicker than one iterator for each process.
constexpr size_t kMostSinglePasses = 4;

template <class Record>
std::vector<Record> split_records(std::span<const std::byte> bytes) {
  std::vector<Record> records(bytes.size() / sizeof(Record));
  std::memcpy(records.data(), bytes.data(), records.size() * sizeof(Record));
  return records;
}

struct ClockPair {  // struct clock_pair of the program
  uint64_t last_start, ran_since, now_monotonic;
};

pid_t pid_of(const TaskRecord& record) { return record.pid; }
pid_t pid_of(const ProcessRecord& record) { return record.facts.pid; }

}  // namespace

TaskRecords::TaskRecords(std::vector<TaskRecord> records, std::vector<ProcessRecord> processes)
    : records_(std::move(records)), processes_(std::move(processes)) {
  for (size_t i = 0; i < records_.size(); ++i) by_tid_.emplace(records_[i].tid, i);
  for (size_t i = 0; i < processes_.size(); ++i) by_pid_.emplace(processes_[i].facts.pid, i);
}

const ProcessRecord* TaskRecords::find_process(pid_t pid) const {
  auto found = by_pid_.find(pid);
  return found == by_pid_.end() ? nullptr : &processes_[found->second];
}

const TaskRecord* TaskRecords::find(pid_t tid) const {
  auto found = by_tid_.find(tid);
  return found == by_tid_.end() ? nullptr : &records_[found->second];
}

Result<KernelTasks> KernelTasks::load() {
  KernelTasks tasks(
      TRY(sys::BpfPrograms::load(std::span(godwit_kernel_tasks_program, godwit_kernel_tasks_program_end))));
  TRY(tasks.set_clocks());
  return tasks;
}

Result<KernelTasks> KernelTasks::open(const sys::BpfPrograms::Ids& ids) {
  KernelTasks tasks(TRY(sys::BpfPrograms::open(ids)));
  TRY(tasks.set_clocks());
  return tasks;
}

// The scheduler's clock is not readable from here. But when this thread has slept and reads at once, its own last start
// on that clock is now, to within the time from there to the reading: the smallest of several tries is taken.
Result<void> KernelTasks::set_clocks() {
  int64_t smallest = std::numeric_limits<int64_t>::max();
  for (int i = 0; i < 10; ++i) {
    timespec moment{0, 20'000};
    ::nanosleep(&moment, nullptr);
    auto bytes = TRY(programs_.run("write_reader_clock", Over::thread, ::gettid()));
    for (const ClockPair& pair : split_records<ClockPair>(bytes)) {
      smallest = std::min(smallest, static_cast<int64_t>(pair.now_monotonic - pair.last_start));
    }
  }
  if (smallest == std::numeric_limits<int64_t>::max()) {
    return error(ErrorKind::unsupported, "the task iterator does not show its reader");
  }
  scheduler_clock_offset_ns_ = smallest;
  return {};
}

template <class Record>
Result<std::vector<Record>> KernelTasks::records_of(const char* program, std::span<const pid_t> processes) const {
  std::vector<Record> records;
  if (processes.size() <= kMostSinglePasses) {
    for (pid_t process : processes) {
      auto bytes = programs_.run(program, Over::process, process);
      if (!bytes && bytes.error().kind == ErrorKind::gone) continue;
      auto some = split_records<Record>(TRY(std::move(bytes)));
      records.insert(records.end(), some.begin(), some.end());
    }
    return records;
  }
  std::unordered_set<pid_t> wanted(processes.begin(), processes.end());
  records = split_records<Record>(TRY(programs_.run(program, Over::everything)));
  std::erase_if(records, [&](const Record& record) { return !wanted.contains(pid_of(record)); });
  return records;
}

Result<TaskRecords> KernelTasks::read(std::span<const pid_t> processes) const {
  return TaskRecords(TRY(records_of<TaskRecord>("write_task", processes)));
}

Result<TaskRecords> KernelTasks::read_all(std::span<const pid_t> processes) const {
  auto threads = TRY(records_of<TaskRecord>("write_task", processes));
  return TaskRecords(std::move(threads), TRY(records_of<ProcessRecord>("write_process", processes)));
}

Result<std::vector<DescriptorRecord>> KernelTasks::read_descriptors(pid_t process) const {
  auto records = split_records<DescriptorRecord>(TRY(programs_.run("write_descriptor", Over::process, process)));
  std::ranges::sort(records, {}, &DescriptorRecord::number);
  return records;
}

RestartFunction KernelTasks::restart_function(const TaskRecord& record) {
  std::string_view name(record.restart_function);
  if (name == "hrtimer_nanosleep_restart") return RestartFunction::nanosleep;
  if (name == "do_restart_poll") return RestartFunction::poll;
  if (name == "futex_wait_restart") return RestartFunction::futex;
  if (name == "do_no_restart_syscall") return RestartFunction::none;
  return RestartFunction::unknown;
}

int64_t KernelTasks::asleep_since(const TaskRecord& record) const {
  return static_cast<int64_t>(record.last_start + record.ran_since) + scheduler_clock_offset_ns_;
}

bool same_wait(const TaskRecord& earlier, const TaskRecord& later) {
  // Into the freezer, into the ptrace stop, and preempted on the way: with 200 threads on two processors up to 4 were
  // seen. A thread that went round its loop in that moment may hide among them; then its next wait ends as early as the
  // last would have.
  constexpr uint64_t kStopSwitches = 8;
  return earlier.tid == later.tid && earlier.call_number == later.call_number &&
         earlier.instruction == later.instruction && earlier.stack == later.stack &&
         std::equal(std::begin(earlier.arguments), std::end(earlier.arguments), std::begin(later.arguments)) &&
         later.switches - earlier.switches <= kStopSwitches;
}

}  // namespace godwit::freeze
