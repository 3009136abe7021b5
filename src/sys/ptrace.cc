#include "sys/ptrace.h"

#include <elf.h>
#include <poll.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.h"
#include "sys/errno.h"

namespace godwit::sys {

namespace {

using Request = decltype(PTRACE_TRACEME);

Result<long> request(Request number, const char* name, pid_t tid, void* address, void* data) {
  long value = ::ptrace(number, tid, address, data);
  if (value < 0) return last_error(name, "thread " + std::to_string(tid));
  return value;
}

Result<void> plain(Request number, const char* name, pid_t tid, void* address, uintptr_t data) {
  TRY(request(number, name, tid, address, reinterpret_cast<void*>(data)));
  return {};
}

Stop decode(int status) {
  if (!WIFSTOPPED(status)) return {Stop::Kind::ended, status};
  int signal = WSTOPSIG(status);
  int event = status >> 16;
  if (event == PTRACE_EVENT_STOP) {
    bool group = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    return {group ? Stop::Kind::group_stop : Stop::Kind::interrupt, signal};
  }
  if (event != 0) return {Stop::Kind::event, event};
  if (signal == (SIGTRAP | 0x80)) return {Stop::Kind::system_call, SIGTRAP};
  return {Stop::Kind::signal, signal};
}

}  // namespace

Result<void> ptrace_seize(pid_t tid, unsigned long options) {
  return plain(PTRACE_SEIZE, "ptrace(SEIZE)", tid, nullptr, options);
}

Result<void> ptrace_interrupt(pid_t tid) { return plain(PTRACE_INTERRUPT, "ptrace(INTERRUPT)", tid, nullptr, 0); }

Result<void> ptrace_continue(pid_t tid, int signal) {
  return plain(PTRACE_CONT, "ptrace(CONT)", tid, nullptr, static_cast<uintptr_t>(signal));
}

Result<void> ptrace_system_call(pid_t tid, int signal) {
  return plain(PTRACE_SYSCALL, "ptrace(SYSCALL)", tid, nullptr, static_cast<uintptr_t>(signal));
}

Result<void> ptrace_set_options(pid_t tid, unsigned long options) {
  return plain(PTRACE_SETOPTIONS, "ptrace(SETOPTIONS)", tid, nullptr, options);
}

Result<void> ptrace_detach(pid_t tid, int signal) {
  return plain(PTRACE_DETACH, "ptrace(DETACH)", tid, nullptr, static_cast<uintptr_t>(signal));
}

Result<user_regs_struct> get_registers(pid_t tid) {
  user_regs_struct registers;
  TRY(request(PTRACE_GETREGS, "ptrace(GETREGS)", tid, nullptr, &registers));
  return registers;
}

Result<void> set_registers(pid_t tid, const user_regs_struct& registers) {
  user_regs_struct copy = registers;
  TRY(request(PTRACE_SETREGS, "ptrace(SETREGS)", tid, nullptr, &copy));
  return {};
}

Result<std::vector<std::byte>> get_extended_state(pid_t tid) {
  std::array<std::byte, 16384> buffer;  // more than any processor's area without AMX tiles (11 KiB with)
  iovec range{buffer.data(), buffer.size()};
  TRY(request(PTRACE_GETREGSET, "ptrace(GETREGSET)", tid, reinterpret_cast<void*>(NT_X86_XSTATE), &range));
  return std::vector<std::byte>(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(range.iov_len));
}

Result<void> set_extended_state(pid_t tid, std::vector<std::byte> state) {
  iovec range{state.data(), state.size()};
  TRY(request(PTRACE_SETREGSET, "ptrace(SETREGSET)", tid, reinterpret_cast<void*>(NT_X86_XSTATE), &range));
  return {};
}

Result<uint64_t> get_signal_mask(pid_t tid) {
  uint64_t mask = 0;
  TRY(request(static_cast<Request>(PTRACE_GETSIGMASK), "ptrace(GETSIGMASK)", tid, reinterpret_cast<void*>(sizeof mask),
              &mask));
  return mask;
}

Result<void> set_signal_mask(pid_t tid, uint64_t mask) {
  TRY(request(static_cast<Request>(PTRACE_SETSIGMASK), "ptrace(SETSIGMASK)", tid, reinterpret_cast<void*>(sizeof mask),
              &mask));
  return {};
}

Result<std::vector<siginfo_t>> peek_pending_signals(pid_t tid, bool shared) {
  std::vector<siginfo_t> signals;
  std::array<siginfo_t, 32> chunk;
  for (;;) {
    __ptrace_peeksiginfo_args where{};
    where.off = signals.size();
    where.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0;
    where.nr = chunk.size();
    long count =
        TRY(request(static_cast<Request>(PTRACE_PEEKSIGINFO), "ptrace(PEEKSIGINFO)", tid, &where, chunk.data()));
    signals.insert(signals.end(), chunk.begin(), chunk.begin() + count);
    if (static_cast<size_t>(count) < chunk.size()) return signals;
  }
}

Result<RseqConfiguration> get_rseq_configuration(pid_t tid) {
  constexpr auto kGetRseqConfiguration = static_cast<Request>(0x420f);  // linux/ptrace.h, since Linux 5.13
  struct {
    RseqConfiguration configuration;
    uint32_t pad;
  } answer{};
  static_assert(offsetof(RseqConfiguration, flags) == 16);
  TRY(request(kGetRseqConfiguration, "ptrace(GET_RSEQ_CONFIGURATION)", tid, reinterpret_cast<void*>(24), &answer));
  return answer.configuration;
}

Result<std::optional<Stop>> try_wait(pid_t tid) {
  int status = 0;
  pid_t found = ::waitpid(tid, &status, __WALL | WNOHANG);
  if (found < 0) return last_error("waitpid", "thread " + std::to_string(tid));
  if (found == 0) return std::optional<Stop>();
  return std::optional<Stop>(decode(status));
}

Result<Stop> wait_for_stop(pid_t tid, Deadline deadline, std::chrono::microseconds spin) {
  auto spin_end = std::chrono::steady_clock::now() + spin;
  for (;;) {
    if (auto stop = TRY(try_wait(tid))) return *stop;
    auto now = std::chrono::steady_clock::now();
    if (now < spin_end) {
      ::sched_yield();  // the tracee may need this very processor
      continue;
    }
    if (now >= deadline) return error(ErrorKind::exhausted, "thread " + std::to_string(tid) + " did not stop in time");
    // A stop of a tracee cannot be polled for; short sleeps bound the wait by the deadline without signals of our own.
    timespec pause{0, 50'000};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace godwit::sys
