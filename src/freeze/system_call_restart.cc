#include "freeze/system_call_restart.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

namespace godwit::freeze {

namespace {

using Call = image::SystemCallInProgress;

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

int64_t result_of(const user_regs_struct& registers) { return static_cast<int64_t>(registers.rax); }

bool in_system_call(const user_regs_struct& registers) { return static_cast<int64_t>(registers.orig_rax) >= 0; }

void set_arguments(Call& call, std::initializer_list<uint64_t> arguments) {
  call.mutable_arguments()->Add(arguments.begin(), arguments.end());
}

// The call that a restart block stands for, made anew with what is left.
Call replanted(const user_regs_struct& registers, const WaitFacts& facts) {
  Call call;
  call.set_remaining_ns(std::max<int64_t>(facts.remaining_ns, 0));
  switch (facts.function) {
    case RestartFunction::nanosleep:
      call.set_treatment(Call::REPLANT_NANOSLEEP);
      call.set_number(SYS_clock_nanosleep);
      call.set_clock(static_cast<uint32_t>(facts.clock));
      set_arguments(call, {static_cast<uint64_t>(facts.clock), 0, 0, facts.rest_address, 0, 0});
      return call;
    case RestartFunction::poll:
      call.set_number(SYS_poll);
      if (!facts.has_timeout) {
        call.set_treatment(Call::REPEAT);
        return call;
      }
      call.set_treatment(Call::REPLANT_POLL);
      set_arguments(call, {registers.rdi, registers.rsi, 0, 0, 0, 0});
      return call;
    case RestartFunction::futex:
      call.set_number(SYS_futex);
      if ((registers.rsi & FUTEX_CMD_MASK) != FUTEX_WAIT) {  // its timeout is a point in time: good as it stands
        call.set_treatment(Call::REPEAT);
        return call;
      }
      call.set_treatment(Call::REPLANT_FUTEX);
      set_arguments(call, {registers.rdi, registers.rsi, registers.rdx, 0, registers.r8, registers.r9});
      return call;
    case RestartFunction::none:
    case RestartFunction::unknown: break;
  }
  // A block that we cannot read: the full time again when the call is known, and otherwise what the program would see
  // after a signal.
  bool known = registers.orig_rax != SYS_restart_syscall;
  call.set_number(registers.orig_rax);
  call.set_treatment(known ? Call::REPEAT : Call::GIVE_UP);
  call.set_full_wait(known);
  return call;
}

bool wrote_back(uint64_t number) { return number == SYS_select || number == SYS_pselect6 || number == SYS_ppoll; }

int64_t clock_now(int clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

}  // namespace

bool may_repeat(uint64_t number) {
  switch (number) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
    case SYS_rt_sigtimedwait:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_io_getevents:
    case SYS_io_pgetevents:
    case SYS_read:  // inotify, sockets with SO_RCVTIMEO
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_accept:
    case SYS_accept4: return true;
    default: return false;
  }
}

TimeoutPlace timeout_place(uint64_t number) {
  switch (number) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait: return {TimeoutKind::milliseconds, 3};
    case SYS_epoll_pwait2:
    case SYS_semtimedop: return {TimeoutKind::timespec_pointer, 3};
    case SYS_rt_sigtimedwait:
    case SYS_ppoll: return {TimeoutKind::timespec_pointer, 2};
    case SYS_io_getevents:
    case SYS_io_pgetevents:
    case SYS_pselect6: return {TimeoutKind::timespec_pointer, 4};
    case SYS_select: return {TimeoutKind::timeval_pointer, 4};
    default: return {};
  }
}

Call classify_call(const user_regs_struct& registers, const WaitFacts* facts) {
  Call call;
  if (!in_system_call(registers)) return call;
  call.set_number(registers.orig_rax);
  int64_t result = result_of(registers);
  if (result == kRestartBlock) return replanted(registers, facts == nullptr ? WaitFacts{} : *facts);
  if (result == kRestartNoHandler && wrote_back(registers.orig_rax)) {
    call.set_treatment(Call::ADJUST);
  } else if (result == -EINTR && may_repeat(registers.orig_rax)) {
    call.set_treatment(Call::REPEAT);
    bool known = facts != nullptr && facts->waited_known;
    call.set_waited_ns(known ? std::max<int64_t>(facts->waited_ns, 0) : 0);
    call.set_full_wait(!known && timeout_place(registers.orig_rax).kind != TimeoutKind::none);
  }
  return call;
}

Call classify(const user_regs_struct& registers, const TaskRecord* before, const TaskRecord* now,
              const KernelTasks* tasks) {
  if (now == nullptr || tasks == nullptr) return classify_call(registers, nullptr);
  WaitFacts facts;
  const auto moment = static_cast<int64_t>(now->now_monotonic);
  facts.function = KernelTasks::restart_function(*now);
  if (facts.function == RestartFunction::nanosleep) {
    facts.clock = now->nanosleep_clock;
    int64_t moment_there = facts.clock == CLOCK_MONOTONIC ? moment : clock_now(facts.clock);
    facts.remaining_ns = static_cast<int64_t>(now->nanosleep_expires) - moment_there;
    facts.rest_address = now->nanosleep_type == 1 ? now->nanosleep_rest : 0;  // TT_NATIVE
  } else if (facts.function == RestartFunction::futex) {
    facts.remaining_ns = static_cast<int64_t>(now->futex_expires) - moment;
  } else if (facts.function == RestartFunction::poll) {
    facts.has_timeout = now->poll_has_timeout != 0;
    facts.remaining_ns = static_cast<int64_t>(now->poll_seconds) * kNanosecondsPerSecond +
                         static_cast<int64_t>(now->poll_nanoseconds) - moment;
  }
  // A wait that began after `before` was read has lasted no longer than the freeze so far.
  facts.waited_known = before != nullptr;
  facts.waited_ns = before != nullptr && same_wait(*before, *now) ? moment - tasks->asleep_since(*before) : 0;
  return classify_call(registers, &facts);
}

}  // namespace godwit::freeze
