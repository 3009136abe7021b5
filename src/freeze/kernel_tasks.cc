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

using Over = sys::BpfIterators::Over;

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

}  // namespace

TaskRecords::TaskRecords(std::vector<TaskRecord> records) : records_(std::move(records)) {
  for (size_t i = 0; i < records_.size(); ++i) by_tid_.emplace(records_[i].tid, i);
}

const TaskRecord* TaskRecords::find(pid_t tid) const {
  auto found = by_tid_.find(tid);
  return found == by_tid_.end() ? nullptr : &records_[found->second];
}

Result<KernelTasks> KernelTasks::load() {
  KernelTasks tasks(
      TRY(sys::BpfIterators::load(std::span(godwit_kernel_tasks_program, godwit_kernel_tasks_program_end))));
  const std::vector<std::string> names{"hrtimer_nanosleep_restart", "do_restart_poll", "futex_wait_restart",
                                       "do_no_restart_syscall"};
  auto addresses = TRY(sys::kernel_addresses(names));
  const RestartFunction kinds[] = {RestartFunction::nanosleep, RestartFunction::poll, RestartFunction::futex,
                                   RestartFunction::none};
  for (size_t i = 0; i < names.size(); ++i) {
    auto address = addresses.find(names[i]);
    if (address == addresses.end()) {
      return error(ErrorKind::unsupported, "/proc/kallsyms does not show the kernel's " + names[i]);
    }
    tasks.functions_.emplace(address->second, kinds[i]);
  }
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

Result<TaskRecords> KernelTasks::read(std::span<const pid_t> processes) const {
  std::vector<TaskRecord> records;
  if (processes.size() <= kMostSinglePasses) {
    for (pid_t process : processes) {
      auto bytes = programs_.run("write_task", Over::process, process);
      if (!bytes && bytes.error().kind == ErrorKind::gone) continue;
      auto some = split_records<TaskRecord>(TRY(std::move(bytes)));
      records.insert(records.end(), some.begin(), some.end());
    }
    return TaskRecords(std::move(records));
  }
  std::unordered_set<pid_t> wanted(processes.begin(), processes.end());
  records = split_records<TaskRecord>(TRY(programs_.run("write_task", Over::everything)));
  std::erase_if(records, [&](const TaskRecord& record) { return !wanted.contains(record.pid); });
  return TaskRecords(std::move(records));
}

RestartFunction KernelTasks::restart_function(const TaskRecord& record) const {
  auto found = functions_.find(record.restart_function);
  return found == functions_.end() ? RestartFunction::unknown : found->second;
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
