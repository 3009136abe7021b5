#include "objects/file_locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include <algorithm>
#include <limits>
#include <map>

#include "sys/file_lock.h"

namespace godwit::objects {

namespace {

using freeze::CallBatch;

void tell(const proc::FileLock& lock, image::Lock& into) {
  into.set_exclusive(lock.exclusive);
  into.set_start(lock.start);
  into.set_length(lock.length);
}

uint64_t flock_operation(const image::Lock& lock, LockStep step) {
  if (step == LockStep::release) return LOCK_UN;
  return LOCK_NB | (lock.exclusive() && step == LockStep::take ? LOCK_EX : LOCK_SH);
}

struct flock record(const image::Lock& lock, LockStep step) {
  struct flock wanted{};
  bool exclusive = lock.exclusive() && step == LockStep::take;
  wanted.l_type = static_cast<short>(step == LockStep::release ? F_UNLCK : exclusive ? F_WRLCK : F_RDLCK);
  wanted.l_whence = SEEK_SET;
  wanted.l_start = static_cast<off_t>(lock.start());
  wanted.l_len = static_cast<off_t>(lock.length());
  return wanted;
}

Result<void> change_here(int fd, const image::Lock& lock, LockStep step) {
  if (lock.kind() == image::Lock::FLOCK) return sys::change_flock(fd, static_cast<int>(flock_operation(lock, step)));
  return sys::change_description_lock(fd, record(lock, step));
}

}  // namespace

bool has_lease(const proc::FdInfo& info) {
  return std::any_of(info.locks.begin(), info.locks.end(),
                     [](const proc::FileLock& lock) { return lock.kind == proc::FileLock::Kind::other; });
}

void capture_description_locks(const proc::FdInfo& info, image::Description& into) {
  for (const proc::FileLock& lock : info.locks) {
    bool flock = lock.kind == proc::FileLock::Kind::flock;
    if (!flock && lock.kind != proc::FileLock::Kind::description) continue;
    image::Lock& told = *into.add_locks();
    told.set_kind(flock ? image::Lock::FLOCK : image::Lock::DESCRIPTION);
    tell(lock, told);
  }
}

void capture_process_locks(const proc::FdInfo& info, int number, image::Process& into) {
  for (const proc::FileLock& lock : info.locks) {
    if (lock.kind != proc::FileLock::Kind::posix) continue;
    image::Lock& told = *into.add_locks();
    told.set_number(number);
    tell(lock, told);
  }
}

Result<void> check_lock(const image::Lock& lock) {
  constexpr uint64_t kLast = std::numeric_limits<int64_t>::max();
  bool sound = image::Lock::Kind_IsValid(lock.kind()) && lock.start() <= kLast && lock.length() <= kLast - lock.start();
  if (!sound) return error(ErrorKind::corrupt, "an impossible lock");
  return {};
}

size_t add_lock_call(CallBatch& batch, int number, const image::Lock& lock, LockStep step) {
  auto fd = static_cast<uint64_t>(number);
  if (lock.kind() == image::Lock::FLOCK) return batch.add(SYS_flock, {fd, flock_operation(lock, step)});
  uint64_t command = lock.kind() == image::Lock::POSIX ? F_SETLK : F_OFD_SETLK;
  return batch.add(SYS_fcntl, {fd, command, freeze::value(batch.put_value(record(lock, step)))});
}

void LockSet::clear() {
  entries_.clear();
  fds_.clear();
}

bool LockSet::in_processes() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.pid != 0; });
}

void LockSet::add(pid_t pid, int number, const image::Lock& lock, std::string file) {
  entries_.push_back({pid, number, lock, std::move(file)});
}

void LockSet::add_here(UniqueFd fd, const image::Lock& lock, std::string file) {
  entries_.push_back({0, fd.get(), lock, std::move(file)});
  fds_.push_back(std::move(fd));
}

void LockSet::Entry::note(LockStep step, bool succeeded) {
  had = succeeded && (step == LockStep::take || (step == LockStep::share && !lock.exclusive()));
}

Result<void> LockSet::run(LockStep step, const InProcess& in_process) {
  std::map<pid_t, std::vector<Entry*>> by_process;
  for (Entry& entry : entries_) {
    if (step == LockStep::release || !entry.had) by_process[entry.pid].push_back(&entry);
  }
  for (auto& [pid, entries] : by_process) {
    if (pid != 0) {
      TRY(in_process(pid, [&](freeze::RemoteCalls& calls) { return run_inside(calls, entries, step); }));
      continue;
    }
    for (Entry* entry : entries) entry->note(step, change_here(entry->number, entry->lock, step).has_value());
  }
  return {};
}

Result<void> LockSet::run_inside(freeze::RemoteCalls& calls, const std::vector<Entry*>& entries, LockStep step) {
  for (size_t first = 0; first < entries.size();) {
    CallBatch batch = calls.batch();
    size_t next = first;
    for (; next < entries.size() && batch.room() >= kLockCallBytes; ++next) {
      add_lock_call(batch, entries[next]->number, entries[next]->lock, step);
    }
    TRY(calls.run(batch));
    for (size_t i = first; i < next; ++i) entries[i]->note(step, batch.result(i - first) == 0);
    first = next;
  }
  return {};
}

void LockSet::release_here() {
  for (Entry& entry : entries_) {
    if (entry.pid == 0) (void)change_here(entry.number, entry.lock, LockStep::release);  // it goes with its descriptors
  }
}

std::string LockSet::lacking() const {
  for (const Entry& entry : entries_) {
    if (!entry.had) return entry.file;
  }
  return {};
}

}  // namespace godwit::objects
