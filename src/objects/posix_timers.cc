#include "objects/posix_timers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <set>

#include "sys/process_control.h"

namespace godwit::objects {

namespace {

constexpr int kMostTimers = 256;   // in one process
constexpr int kMostCounted = 512;  // highest number reached by counting up
constexpr uint64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr uint64_t kMost = uint64_t{1} << 62;
// Clocks of processor time as the C library names them to the kernel: a process of its own, a thread of its own
// (include/linux/posix-timers.h, MAKE_PROCESS_CPUCLOCK and MAKE_THREAD_CPUCLOCK with pid 0).
constexpr int kOwnProcessClock = -6;
constexpr int kOwnThreadClock = -2;

bool real_clock(int clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
         clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM || clock == CLOCK_TAI;
}

bool processor_clock(int clock) {
  return clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID || clock == kOwnProcessClock ||
         clock == kOwnThreadClock;
}

uint64_t nanoseconds(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * kNanosecondsPerSecond + static_cast<uint64_t>(time.tv_nsec);
}

timespec time_of(uint64_t nanoseconds) {
  return {static_cast<time_t>(nanoseconds / kNanosecondsPerSecond),
          static_cast<long>(nanoseconds % kNanosecondsPerSecond)};
}

struct KernelEvent {  // sigevent_t of the kernel
  uint64_t value;
  int32_t signal;
  int32_t notify;
  int32_t tid;
  char pad[44];
};
static_assert(sizeof(KernelEvent) == 64);

Result<void> check(const image::PosixTimer& timer) {
  int how = timer.notify() & ~SIGEV_THREAD_ID;
  bool sound = timer.id() >= 0 && timer.signal() >= 0 && timer.signal() <= 64 && timer.interval_ns() <= kMost &&
               timer.remaining_ns() <= kMost && (how == SIGEV_SIGNAL || how == SIGEV_NONE || how == SIGEV_THREAD) &&
               (real_clock(timer.clock()) || processor_clock(timer.clock()));
  if (!sound) return error(ErrorKind::corrupt, "a POSIX timer");
  return {};
}

void add_one(freeze::CallBatch& batch, const image::PosixTimer& timer, std::chrono::nanoseconds elapsed) {
  KernelEvent event{timer.value(), timer.signal(), timer.notify(), timer.notify_tid(), {}};
  uint64_t id = value(batch.put_value(timer.id()));
  batch.add(SYS_timer_create,
            {static_cast<uint64_t>(static_cast<int64_t>(timer.clock())), value(batch.put_value(event)), id});
  if (timer.remaining_ns() == 0) return;
  int64_t passed = real_clock(timer.clock()) ? std::max<int64_t>(elapsed.count(), 0) : 0;
  int64_t left = std::max<int64_t>(static_cast<int64_t>(timer.remaining_ns()) - passed, 1);
  itimerspec setting{time_of(timer.interval_ns()), time_of(static_cast<uint64_t>(left))};
  batch.add(SYS_timer_settime, {static_cast<uint64_t>(timer.id()), 0, value(batch.put_value(setting)), 0});
}

// Makes and deletes timers until the next one gets `id`.
void count_up(freeze::CallBatch& batch, int& next, int id) {
  KernelEvent none{0, 0, SIGEV_NONE, 0, {}};
  for (; next < id; ++next) {
    uint64_t at = value(batch.put_value(int64_t{0}));
    batch.add(SYS_timer_create, {CLOCK_MONOTONIC, value(batch.put_value(none)), at});
    batch.add(SYS_timer_delete, {static_cast<uint64_t>(next)});
  }
}

}  // namespace

Result<void> PosixTimerQuestions::add(freeze::CallBatch& batch, std::span<const proc::TimerEntry> listed,
                                      size_t threads) {
  if (listed.size() > kMostTimers) return error(ErrorKind::unsupported, "more than 256 POSIX timers in a process");
  for (const proc::TimerEntry& entry : listed) {
    bool of_some_thread = entry.clock == kOwnThreadClock || entry.clock == CLOCK_THREAD_CPUTIME_ID;
    if (!real_clock(entry.clock) && !processor_clock(entry.clock)) {
      return error(ErrorKind::unsupported, "a POSIX timer on clock " + std::to_string(entry.clock));
    }
    if (of_some_thread && threads > 1) {
      return error(ErrorKind::unsupported, "a POSIX timer on the processor time of one of several threads");
    }
    freeze::RemoteAddress at = batch.reserve(sizeof(itimerspec));
    size_t call = batch.add(SYS_timer_gettime, {static_cast<uint64_t>(entry.id), value(at)});
    questions_.push_back({entry, call, at});
  }
  return {};
}

Result<void> PosixTimerQuestions::answers(const freeze::CallBatch& batch, const TidInside& tid_inside,
                                          image::Process& process) const {
  for (const Question& question : questions_) {
    if (batch.result(question.call) != 0) return error(ErrorKind::failed, "timer_gettime in the program");
    auto setting = batch.read<itimerspec>(question.at);
    image::PosixTimer* image = process.add_posix_timers();
    image->set_id(question.entry.id);
    image->set_clock(question.entry.clock);
    image->set_notify(question.entry.notify);
    image->set_signal(question.entry.signal);
    image->set_value(question.entry.value);
    if (question.entry.notify & SIGEV_THREAD_ID) image->set_notify_tid(TRY(tid_inside(question.entry.target)));
    image->set_interval_ns(nanoseconds(setting.it_interval));
    image->set_remaining_ns(nanoseconds(setting.it_value));
  }
  return {};
}

bool kernel_restores_timer_ids() { return sys::can_restore_timer_ids(); }

Result<void> add_posix_timers(freeze::CallBatch& batch, const image::Process& process, std::chrono::nanoseconds elapsed,
                              bool restore_ids) {
  if (process.posix_timers_size() == 0) return {};
  if (process.posix_timers_size() > kMostTimers) return error(ErrorKind::corrupt, "number of POSIX timers");
  std::vector<const image::PosixTimer*> timers;
  std::set<int> ids;
  for (const image::PosixTimer& timer : process.posix_timers()) {
    TRY(check(timer));
    if (!ids.insert(timer.id()).second) return error(ErrorKind::corrupt, "two POSIX timers of one number");
    timers.push_back(&timer);
  }
  std::sort(timers.begin(), timers.end(), [](auto* a, auto* b) { return a->id() < b->id(); });
  constexpr size_t kBytesForOne = 512;
  size_t counted = restore_ids ? 0 : static_cast<size_t>(*ids.rbegin());
  if (counted > kMostCounted) {
    return error(ErrorKind::unsupported, "this kernel cannot give a POSIX timer the number " + std::to_string(counted));
  }
  if (batch.room() < (timers.size() + counted) * kBytesForOne) return error(ErrorKind::exhausted, "POSIX timers");
  if (restore_ids) batch.add(SYS_prctl, {sys::kTimerCreateRestoreIds, sys::kTimerIdsOn, 0, 0, 0});
  int next = 0;
  for (const image::PosixTimer* timer : timers) {
    if (!restore_ids) count_up(batch, next, timer->id());
    add_one(batch, *timer, elapsed);
    next = timer->id() + 1;
  }
  if (restore_ids) batch.add(SYS_prctl, {sys::kTimerCreateRestoreIds, sys::kTimerIdsOff, 0, 0, 0});
  return {};
}

}  // namespace godwit::objects
