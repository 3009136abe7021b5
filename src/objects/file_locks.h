// Advisory locks of files: flock(2) and open file description locks, which belong to a description, and POSIX record
// locks, which belong to a process. Leases do not move.
//
// A lock on a file that both nodes share cannot be held by both copies of a program. Source and destination hand such
// locks over after the switchover, in four steps (see migration/lock_handover.h): the source makes its exclusive locks
// shared, the destination takes shared ones beside them, the source releases its own, the destination makes its own
// exclusive. So nobody who waits for one of them gets it in between. A LockSet is one side's part in that. Source:
// flock(2), fcntl_locking(2), Linux fs/locks.c.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "freeze/remote_calls.h"
#include "godwit/image.pb.h"
#include "proc/fdinfo.h"

namespace godwit::objects {

bool has_lease(const proc::FdInfo& info);
void capture_description_locks(const proc::FdInfo& info, image::Description& into);
void capture_process_locks(const proc::FdInfo& info, int number, image::Process& into);

// Errors: corrupt.
Result<void> check_lock(const image::Lock& lock);

enum class LockStep { take, share, release };

// Adds the call that does `step` through descriptor `number` without waiting; returns its index. Requires: room for
// kLockCallBytes; a lock that was checked.
size_t add_lock_call(freeze::CallBatch& batch, int number, const image::Lock& lock, LockStep step);
constexpr size_t kLockCallBytes = 256;

// Does `work` in a process of the job, inside which calls can be made.
using InProcess = std::function<Result<void>(pid_t pid, const std::function<Result<void>(freeze::RemoteCalls&)>& work)>;

class LockSet {
 public:
  void clear();
  bool empty() const { return entries_.empty(); }
  // Whether some of them only a process itself can change.
  bool in_processes() const;
  // `file`: what it is called, for messages.
  void add(pid_t pid, int number, const image::Lock& lock, std::string file);
  // A lock of a description of which we have a descriptor.
  void add_here(UniqueFd fd, const image::Lock& lock, std::string file);

  // Shared instead of exclusive, as far as that is possible: a descriptor that is open for writing only cannot have
  // them. What is had as it is wanted stays untouched.
  Result<void> share(const InProcess& in_process) { return run(LockStep::share, in_process); }
  // As they are wanted, those that can be had now.
  Result<void> take(const InProcess& in_process) { return run(LockStep::take, in_process); }
  Result<void> release(const InProcess& in_process) { return run(LockStep::release, in_process); }
  // Those of descriptions alone.
  void release_here();
  // The first file of which a lock is not had as it is wanted; empty: all are had.
  std::string lacking() const;

 private:
  struct Entry {
    pid_t pid;  // 0: the descriptor is ours
    int number;
    image::Lock lock;
    std::string file;
    bool had = false;
    void note(LockStep step, bool succeeded);
  };
  Result<void> run(LockStep step, const InProcess& in_process);
  static Result<void> run_inside(freeze::RemoteCalls& calls, const std::vector<Entry*>& entries, LockStep step);

  std::vector<Entry> entries_;
  std::vector<UniqueFd> fds_;
};

}  // namespace godwit::objects
