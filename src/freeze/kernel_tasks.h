// KernelTasks: what the kernel keeps about threads and no system call tells: when a sleeping thread went to sleep, what
// an interrupted call would do when it is restarted, and, all in one pass, what would otherwise cost a call inside each
// thread.
//
// A BPF task iterator (kernel_tasks.bpf.c) writes one record for each thread. Load before the freeze (some 50 ms), read
// just before it (waits) and inside it (restart blocks); reading changes nothing and may be done in any state of the
// threads. Without BPF everything still works: calls inside the threads answer the same questions, and interrupted
// waits begin again with their full time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "freeze/task_record.h"
#include "sys/bpf_programs.h"

namespace godwit::freeze {

using TaskRecord = ::godwit_task_record;
using ProcessRecord = ::godwit_process_record;
using DescriptorRecord = ::godwit_descriptor_record;

// What task->restart_block would do.
enum class RestartFunction { none, nanosleep, poll, futex, unknown };

class TaskRecords {
 public:
  explicit TaskRecords(std::vector<TaskRecord> records, std::vector<ProcessRecord> processes = {});
  // The record of a thread or process, or null. Numbers are those of our own pid namespace.
  const TaskRecord* find(pid_t tid) const;
  const ProcessRecord* find_process(pid_t pid) const;
  size_t size() const { return records_.size(); }
  const std::vector<TaskRecord>& all() const { return records_; }

 private:
  std::vector<TaskRecord> records_;
  std::vector<ProcessRecord> processes_;
  std::unordered_map<pid_t, size_t> by_tid_;
  std::unordered_map<pid_t, size_t> by_pid_;
};

class KernelTasks {
 public:
  // ErrorKind::unsupported or denied where the kernel has no BTF or we may not load programs.
  static Result<KernelTasks> load();
  // With the programs that another process of ours has loaded: at once. Errors: gone too.
  static Result<KernelTasks> open(const sys::BpfPrograms::Ids& ids);
  Result<sys::BpfPrograms::Ids> ids() const { return programs_.ids(); }
  // All threads of these processes (host pids). One that has ended is simply absent.
  Result<TaskRecords> read(std::span<const pid_t> processes) const;
  // The same, and what each process has once.
  Result<TaskRecords> read_all(std::span<const pid_t> processes) const;
  // The open descriptors of one process, by number.
  Result<std::vector<DescriptorRecord>> read_descriptors(pid_t process) const;
  static RestartFunction restart_function(const TaskRecord& record);
  // When the thread went to sleep, on the host's CLOCK_MONOTONIC, nanoseconds. Good to some 20 us, for a record read
  // while the thread slept.
  int64_t asleep_since(const TaskRecord& record) const;

 private:
  explicit KernelTasks(sys::BpfPrograms programs) : programs_(std::move(programs)) {}
  Result<void> set_clocks();
  template <class Record>
  Result<std::vector<Record>> records_of(const char* program, std::span<const pid_t> processes) const;
  sys::BpfPrograms programs_;
  int64_t scheduler_clock_offset_ns_ = 0;  // CLOCK_MONOTONIC - the scheduler's clock
};

// True when `later` shows the same sleep as `earlier`, ended by nothing but our stop: same call, same place, and no
// more switches than the freezer and ptrace cause.
bool same_wait(const TaskRecord& earlier, const TaskRecord& later);

}  // namespace godwit::freeze
