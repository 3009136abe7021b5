// SeizedTree: a logical host whose every thread is stopped and traced by us; the scope's end lets all of them go on.
//
// Freezing: ptrace(SEIZE, INTERRUPT) takes each thread over, the cgroup freezer keeps new threads and processes from
// slipping through meanwhile, then the cgroup is thawed again (a frozen cgroup would not let injected code run).
// Threads in an uninterruptible system call stop when it completes (delayed blocking). If our process dies the kernel
// lets all threads go on by itself; the cgroup may then be left frozen and is thawed by the daemon. Used by one thread
// only. Source: ptrace(2), cgroups(7), Linux kernel/cgroup/freezer.c, kernel/signal.c (get_signal).
#pragma once

#include <sys/user.h>

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "freeze/process_list.h"
#include "freeze/remote_address.h"
#include "godwit/image.pb.h"
#include "sys/ptrace.h"

namespace godwit::freeze {

struct SeizedThread {
  pid_t host_tid = 0;
  bool delayed = false;        // it was in an uninterruptible system call
  bool stopped = false;        // only then do the registers and `call` mean anything
  bool group_stopped = false;  // stopped by job control before we came
  user_regs_struct registers{};
  image::SystemCallInProgress call;  // what it takes to let it go on unnoticed
  bool resumable = false;            // its registers say so already
};

struct SeizedProcess {
  ListedProcess listed;
  std::vector<SeizedThread> threads;  // the main thread first; empty for a zombie
};

// Where a process has its vDSO.
Result<RemoteAddress> find_vdso(pid_t host_pid);

class SeizedTree {
 public:
  // Whether no process or thread can have been born since before it was given to seize().
  using NoneBorn = std::function<bool()>;
  // `cgroup`: directory of the cgroup that holds what moves. Blocks until all is stopped; ErrorKind::exhausted at the
  // deadline, and then everything runs again.
  static Result<SeizedTree> seize(const std::string& cgroup, pid_t init_host_pid, const NoneBorn& none_born,
                                  sys::Deadline deadline);
  ~SeizedTree();
  SeizedTree(SeizedTree&&) noexcept = default;
  SeizedTree& operator=(SeizedTree&&) = delete;

  // When the first thread was told to stop.
  std::chrono::steady_clock::time_point since() const { return since_; }
  std::vector<SeizedProcess>& processes() { return processes_; }
  const std::vector<SeizedProcess>& processes() const { return processes_; }
  // Whatever lets this thread go now, even our death, the program will not notice. Nothing may run in it afterwards.
  static Result<void> make_resumable(SeizedThread& thread);
  Result<void> make_resumable();  // all of them
  // Lets every thread go on where it was, those that have not stopped yet as soon as they do. The destructor does the
  // same. Requires: the cgroup is not frozen.
  void let_go();
  // The threads will never run again: forget them (they are killed by whoever owns the cgroup).
  void commit() && { processes_.clear(); }

 private:
  SeizedTree() = default;
  bool is_all_of(const std::string& cgroup, const std::set<pid_t>& seen) const;
  Result<bool> take_over_new(std::vector<ListedProcess> listed, std::set<pid_t>& seen);
  static Result<SeizedTree> try_seize(const std::string& cgroup, pid_t init_host_pid, const NoneBorn& none_born,
                                      sys::Deadline deadline);
  std::chrono::steady_clock::time_point since_;
  std::vector<SeizedProcess> processes_;
};

}  // namespace godwit::freeze
