#include "freeze/replant.h"

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "freeze/remote_calls.h"
#include "freeze/system_call_restart.h"
#include "sys/process_memory.h"
#include "sys/ptrace.h"

namespace godwit::freeze {

namespace {

using Call = image::SystemCallInProgress;

constexpr int64_t kNanosecondsPerMillisecond = 1'000'000;
constexpr int64_t kNanosecondsPerMicrosecond = 1'000;
constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr int64_t kMostSeconds = int64_t{1} << 33;  // 272 years: longer waits are taken for this long
constexpr uint64_t kRedZone = 128;                  // System V ABI for x86-64, 3.2.2
constexpr uint64_t kNotInCall = ~uint64_t{0};
constexpr std::chrono::microseconds kSpin(150);
constexpr std::chrono::seconds kPatience(10);

struct SecondsPair {  // struct timespec and struct timeval alike
  int64_t seconds;
  int64_t fraction;
};

// The register that carries an argument of a system call; user_regs_struct has its own 64-bit type.
unsigned long long& argument(user_regs_struct& registers, unsigned position) {
  unsigned long long* places[] = {&registers.rdi, &registers.rsi, &registers.rdx,
                                  &registers.r10, &registers.r8,  &registers.r9};
  return *places[position];
}

int64_t milliseconds_up(int64_t nanoseconds) {
  return (std::max<int64_t>(nanoseconds, 0) + kNanosecondsPerMillisecond - 1) / kNanosecondsPerMillisecond;
}

uint64_t below_red_zone(const user_regs_struct& registers) {
  return (registers.rsp - kRedZone - sizeof(SecondsPair)) & ~uint64_t{15};
}

template <class T>
std::span<std::byte> bytes_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

SecondsPair minus(SecondsPair time, int64_t nanoseconds, int64_t unit) {
  int64_t seconds = std::clamp<int64_t>(time.seconds, 0, kMostSeconds);
  int64_t left = seconds * kNanosecondsPerSecond + time.fraction * unit - nanoseconds;
  left = std::max<int64_t>(left, 0);
  return {left / kNanosecondsPerSecond, left % kNanosecondsPerSecond / unit};
}

// The timeout that a register points to, shortened: in its place, or below the stack with the register led there.
Result<void> shorten_in_memory(user_regs_struct& registers, TimeoutPlace place, int64_t by_ns, bool in_place,
                               const ProgramMemory& memory) {
  unsigned long long& pointer = argument(registers, place.argument);
  if (pointer == 0) return {};
  SecondsPair time;
  if (!memory.read(pointer, bytes_of(time))) return {};  // the call itself will say EFAULT
  int64_t unit = place.kind == TimeoutKind::timeval_pointer ? kNanosecondsPerMicrosecond : 1;
  bool sound = time.seconds >= 0 && time.fraction >= 0 && time.fraction < kNanosecondsPerSecond / unit;
  if (!sound) return {};  // and here EINVAL
  time = minus(time, by_ns, unit);
  uint64_t target = in_place ? pointer : below_red_zone(registers);
  TRY(memory.write(target, bytes_of(time)));
  pointer = target;
  return {};
}

ProgramMemory memory_of(pid_t host_tid) {
  return {
      [host_tid](uint64_t address, std::span<std::byte> into) { return sys::read_memory_at(host_tid, address, into); },
      [host_tid](uint64_t address, std::span<const std::byte> bytes) {
        return sys::write_memory(host_tid, address, bytes);
      }};
}

Result<void> await(pid_t tid, sys::Stop::Kind wanted) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  sys::Stop stop = TRY(sys::wait_for_stop(tid, deadline, kSpin));
  if (stop.kind == sys::Stop::Kind::ended) return error(ErrorKind::gone, "the thread ended");
  if (stop.kind != wanted) return error(ErrorKind::bug, "a planted call stopped in an unexpected way");
  return {};
}

// Starts the call and interrupts it at once; returns what it returned.
Result<int64_t> start_and_interrupt(pid_t tid, user_regs_struct registers, RemoteAddress instruction, uint64_t number,
                                    const std::array<uint64_t, 6>& arguments) {
  registers.rip = value(instruction);
  registers.rax = number;
  registers.orig_rax = kNotInCall;
  for (unsigned i = 0; i < arguments.size(); ++i) argument(registers, i) = arguments[i];
  TRY(sys::set_registers(tid, registers));
  TRY(sys::ptrace_system_call(tid));
  TRY(await(tid, sys::Stop::Kind::system_call));
  TRY(sys::ptrace_interrupt(tid));
  TRY(sys::ptrace_continue(tid));
  TRY(await(tid, sys::Stop::Kind::interrupt));
  return static_cast<int64_t>(TRY(sys::get_registers(tid)).rax);
}

// The arguments with the time that is left, which goes to memory at `scratch` where the call wants a timespec.
Result<std::array<uint64_t, 6>> replant_arguments(const Call& call, int64_t left_ns, uint64_t scratch) {
  if (call.arguments_size() != 6) return error(ErrorKind::corrupt, "arguments of a system call in progress");
  std::array<uint64_t, 6> arguments;
  std::copy(call.arguments().begin(), call.arguments().end(), arguments.begin());
  switch (call.treatment()) {
    case Call::REPLANT_NANOSLEEP: arguments[2] = scratch; break;
    case Call::REPLANT_FUTEX: arguments[3] = scratch; break;
    default: arguments[2] = static_cast<uint64_t>(std::min<int64_t>(milliseconds_up(left_ns), INT32_MAX)); break;
  }
  return arguments;
}

Result<uint64_t> planted_number(const Call& call) {
  switch (call.treatment()) {
    case Call::REPLANT_NANOSLEEP: return SYS_clock_nanosleep;
    case Call::REPLANT_FUTEX: return SYS_futex;
    case Call::REPLANT_POLL: return SYS_poll;
    default: return error(ErrorKind::bug, "nothing to plant");
  }
}

// What a call returns whose time is over, where the time is all it waits for beside a wake-up that cannot have come.
std::optional<int64_t> result_in_the_end(const Call& call) {
  if (call.treatment() == Call::REPLANT_NANOSLEEP) return 0;
  if (call.treatment() == Call::REPLANT_FUTEX) return -ETIMEDOUT;
  return std::nullopt;
}

Result<void> replant(pid_t tid, RemoteAddress vdso, user_regs_struct registers, const Call& call,
                     std::chrono::nanoseconds elapsed) {
  int64_t left = std::clamp<int64_t>(call.remaining_ns(), 0, kMostSeconds * kNanosecondsPerSecond) - elapsed.count();
  left = std::max<int64_t>(left, 0);
  if (auto result = result_in_the_end(call); result && left == 0) {
    registers.rax = static_cast<uint64_t>(*result);
    registers.orig_rax = kNotInCall;
    return sys::set_registers(tid, registers);
  }
  ProgramMemory memory = memory_of(tid);
  uint64_t scratch = below_red_zone(registers);
  uint64_t number = TRY(planted_number(call));
  auto arguments = TRY(replant_arguments(call, left, scratch));
  SecondsPair before;
  SecondsPair time{left / kNanosecondsPerSecond, left % kNanosecondsPerSecond};
  TRY(memory.read(scratch, bytes_of(before)));
  TRY(memory.write(scratch, bytes_of(time)));
  uint64_t mask = TRY(sys::get_signal_mask(tid));
  TRY(sys::set_signal_mask(tid, ~uint64_t{0}));
  RemoteAddress instruction = vdso + TRY(vdso_system_call_offset());
  int64_t result = TRY(start_and_interrupt(tid, registers, instruction, number, arguments));
  TRY(sys::set_signal_mask(tid, mask));
  TRY(memory.write(scratch, bytes_of(before)));
  // Planted; or it had nothing left to wait for, and that is its result.
  registers.rax = static_cast<uint64_t>(result);
  registers.orig_rax = result == kRestartBlock ? number : kNotInCall;
  return sys::set_registers(tid, registers);
}

}  // namespace

Result<user_regs_struct> with_time_left(const user_regs_struct& registers, const Call& call,
                                        std::chrono::nanoseconds elapsed, const ProgramMemory& memory) {
  user_regs_struct changed = registers;
  if (call.treatment() == Call::ADJUST) {
    TRY(shorten_in_memory(changed, timeout_place(call.number()), elapsed.count(), true, memory));
    return changed;
  }
  changed.rax = static_cast<uint64_t>(kRestartNoHandler);
  changed.orig_rax = call.number();
  TimeoutPlace place = timeout_place(call.number());
  int64_t by_ns = call.waited_ns() + elapsed.count();
  if (place.kind == TimeoutKind::milliseconds) {
    auto timeout = static_cast<int32_t>(argument(changed, place.argument));
    if (timeout < 0) return changed;
    int64_t left = timeout * kNanosecondsPerMillisecond - by_ns;
    argument(changed, place.argument) = static_cast<uint64_t>(milliseconds_up(left));
  } else if (place.kind != TimeoutKind::none) {
    TRY(shorten_in_memory(changed, place, by_ns, false, memory));
  }
  return changed;
}

Result<void> resume_in_progress(pid_t host_tid, Side side, RemoteAddress vdso, const user_regs_struct& registers,
                                const Call& call, std::chrono::nanoseconds elapsed) {
  elapsed = std::max(elapsed, std::chrono::nanoseconds(0));
  bool own_block = side == Side::source && static_cast<int64_t>(registers.rax) == kRestartBlock;
  if (own_block) return sys::set_registers(host_tid, registers);
  switch (call.treatment()) {
    case Call::REPLANT_NANOSLEEP:
    case Call::REPLANT_POLL:
    case Call::REPLANT_FUTEX: return replant(host_tid, vdso, registers, call, elapsed);
    case Call::REPEAT:
    case Call::ADJUST:
      return sys::set_registers(host_tid, TRY(with_time_left(registers, call, elapsed, memory_of(host_tid))));
    case Call::GIVE_UP: {
      user_regs_struct interrupted = registers;
      interrupted.rax = static_cast<uint64_t>(-EINTR);
      interrupted.orig_rax = kNotInCall;
      return sys::set_registers(host_tid, interrupted);
    }
    default: break;
  }
  return sys::set_registers(host_tid, registers);
}

Result<void> resume_in_progress(pid_t host_tid, const image::Thread& thread, RemoteAddress vdso,
                                std::chrono::nanoseconds elapsed) {
  user_regs_struct registers;
  if (thread.general_registers().size() != sizeof registers) return error(ErrorKind::corrupt, "general registers");
  std::memcpy(&registers, thread.general_registers().data(), sizeof registers);
  return resume_in_progress(host_tid, Side::destination, vdso, registers, thread.system_call(), elapsed);
}

}  // namespace godwit::freeze
