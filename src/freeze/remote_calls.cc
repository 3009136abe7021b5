#include "freeze/remote_calls.h"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "sys/process_memory.h"
#include "sys/ptrace.h"

extern "C" const std::byte godwit_batch_code[];
extern "C" const std::byte godwit_batch_code_end[];

namespace godwit::freeze {

namespace {

constexpr std::chrono::microseconds kSpin(150);
constexpr std::chrono::seconds kPatience(10);
constexpr uint64_t kEverySignal = ~uint64_t{0};

sys::Deadline patience() { return std::chrono::steady_clock::now() + kPatience; }

std::span<const std::byte> batch_code() { return {godwit_batch_code, godwit_batch_code_end}; }

// Waits for the stop that a single call or a batch ends with; other stops (an interrupt that was still under way) are
// passed by.
Result<void> await(pid_t tid, sys::Stop::Kind wanted, bool by_system_call) {
  for (int passed = 0; passed < 16; ++passed) {
    sys::Stop stop = TRY(sys::wait_for_stop(tid, patience(), kSpin));
    if (stop.kind == sys::Stop::Kind::ended) return error(ErrorKind::gone, "the thread ended");
    if (stop.kind == wanted && (wanted != sys::Stop::Kind::signal || stop.signal == SIGSTOP)) return {};
    if (stop.kind == sys::Stop::Kind::signal && (stop.signal == SIGSEGV || stop.signal == SIGILL)) {
      return error(ErrorKind::bug, "injected code failed with signal " + std::to_string(stop.signal));
    }
    if (by_system_call) {
      TRY(sys::ptrace_system_call(tid));
    } else {
      TRY(sys::ptrace_continue(tid));
    }
  }
  return error(ErrorKind::bug, "injected code did not come to its end");
}

// From a system-call stop to a stop inside get_signal(), where the kernel still decides about restarting an interrupted
// call when it finds registers that ask for it (arch/x86/kernel/signal.c, arch_do_signal_or_restart).
Result<void> settle(pid_t tid) {
  TRY(sys::ptrace_interrupt(tid));
  TRY(sys::ptrace_continue(tid));
  return await(tid, sys::Stop::Kind::interrupt, false);
}

}  // namespace

Result<uint64_t> vdso_system_call_offset() {
  auto* vdso = reinterpret_cast<const unsigned char*>(::getauxval(AT_SYSINFO_EHDR));
  if (vdso == nullptr) return error(ErrorKind::unsupported, "this kernel gives processes no vDSO");
  constexpr size_t kOnePage = 4096;  // the text begins there; the vDSO is at least that long
  for (size_t i = 0; i + 1 < 2 * kOnePage; ++i) {
    if (vdso[i] == 0x0f && vdso[i + 1] == 0x05) return i;
  }
  return error(ErrorKind::unsupported, "no system call instruction in the vDSO");
}

Result<ThreadScope> ThreadScope::open(pid_t tid) {
  user_regs_struct registers = TRY(sys::get_registers(tid));
  uint64_t mask = TRY(sys::get_signal_mask(tid));
  TRY(sys::set_signal_mask(tid, kEverySignal));
  return ThreadScope(tid, registers, mask);
}

ThreadScope::ThreadScope(ThreadScope&& other) noexcept
    : tid_(std::exchange(other.tid_, 0)), registers_(other.registers_), mask_(other.mask_) {}

ThreadScope::~ThreadScope() {
  (void)close();  // fails only for a thread that is gone
}

Result<void> ThreadScope::close() {
  pid_t tid = std::exchange(tid_, 0);
  if (tid == 0) return {};
  TRY(sys::set_registers(tid, registers_));
  return sys::set_signal_mask(tid, mask_);
}

Result<int64_t> RemoteCalls::single_call(pid_t tid, RemoteAddress instruction, uint64_t number,
                                         std::array<uint64_t, 6> arguments) {
  user_regs_struct registers = TRY(sys::get_registers(tid));
  registers.rip = value(instruction);
  registers.rax = number;
  registers.orig_rax = ~uint64_t{0};
  registers.rdi = arguments[0];
  registers.rsi = arguments[1];
  registers.rdx = arguments[2];
  registers.r10 = arguments[3];
  registers.r8 = arguments[4];
  registers.r9 = arguments[5];
  TRY(sys::set_registers(tid, registers));
  TRY(sys::ptrace_system_call(tid));
  TRY(await(tid, sys::Stop::Kind::system_call, true));
  TRY(sys::ptrace_system_call(tid));
  TRY(await(tid, sys::Stop::Kind::system_call, true));
  registers = TRY(sys::get_registers(tid));
  return static_cast<int64_t>(registers.rax);
}

Result<void> RemoteCalls::map_region(RemoteAddress wanted, uint64_t flags, int64_t fd) {
  int64_t address = TRY(single_call(tid_, instruction_, SYS_mmap,
                                    {value(wanted), CallBatch::kRegionBytes, PROT_READ | PROT_WRITE | PROT_EXEC, flags,
                                     static_cast<uint64_t>(fd), 0}));
  if (address < 0 && address > -4096) {
    return Error{ErrorKind::failed, static_cast<int>(-address), "mmap", "no room for our code in the target"};
  }
  region_.there = RemoteAddress{static_cast<uint64_t>(address)};
  return {};
}

Result<RemoteCalls> RemoteCalls::open(pid_t tid, RemoteAddress vdso, std::optional<RemoteAddress> wanted) {
  RemoteCalls calls(tid, {});
  calls.instruction_ = vdso + TRY(vdso_system_call_offset());
  calls.saved_.emplace(TRY(ThreadScope::open(tid)));  // from here on the destructor restores
  uint64_t fixed = wanted ? MAP_FIXED_NOREPLACE : 0;
  TRY(calls.map_region(wanted.value_or(RemoteAddress{}), MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1));
  TRY(sys::write_memory(tid, value(calls.region_.there), batch_code()));
  return calls;
}

Result<RemoteCalls> RemoteCalls::open_shared(pid_t tid, RemoteAddress vdso, RemoteAddress wanted,
                                             const SharedRegion& shared, int pidfd) {
  RemoteCalls calls(tid, {});
  calls.instruction_ = vdso + TRY(vdso_system_call_offset());
  calls.saved_.emplace(TRY(ThreadScope::open(tid)));
  auto ours = static_cast<uint64_t>(shared.fd());
  int64_t fd = TRY(single_call(tid, calls.instruction_, SYS_pidfd_getfd, {static_cast<uint64_t>(pidfd), ours, 0}));
  if (fd < 0) return Error{ErrorKind::failed, static_cast<int>(-fd), "pidfd_getfd", "our region in the target"};
  auto mapped = calls.map_region(wanted, MAP_SHARED | MAP_FIXED_NOREPLACE, fd);
  TRY(single_call(tid, calls.instruction_, SYS_close, {static_cast<uint64_t>(fd)}));
  TRY(std::move(mapped));
  calls.region_.here = shared.bytes().data();
  std::ranges::copy(batch_code(), calls.region_.here);
  return calls;
}

Result<void> RemoteCalls::put(RemoteAddress to, std::span<const std::byte> bytes) const {
  if (region_.here == nullptr) return sys::write_memory(tid_, value(to), bytes);
  std::ranges::copy(bytes, region_.here + (value(to) - value(region_.there)));
  return {};
}

Result<void> RemoteCalls::get(RemoteAddress from, std::span<std::byte> bytes) const {
  if (region_.here == nullptr) return sys::read_memory_at(tid_, value(from), bytes);
  std::copy_n(region_.here + (value(from) - value(region_.there)), bytes.size(), bytes.data());
  return {};
}

RemoteCalls::RemoteCalls(RemoteCalls&& other) noexcept
    : tid_(other.tid_), region_(other.region_), instruction_(other.instruction_), saved_(std::move(other.saved_)) {
  other.saved_.reset();
}

RemoteCalls::~RemoteCalls() {
  if (saved_) (void)close();  // a thread that is gone needs nothing restored
}

Result<void> RemoteCalls::close() {
  if (!saved_) return {};
  ThreadScope saved = std::move(*saved_);
  saved_.reset();
  Result<int64_t> unmapped = 0;
  if (value(region_.there) != 0) {
    unmapped = single_call(tid_, instruction_, SYS_munmap, {value(region_.there), CallBatch::kRegionBytes});
    TRY(settle(tid_));
  }
  TRY(saved.close());
  TRY(std::move(unmapped));
  return {};
}

Result<void> RemoteCalls::unmap_only(RemoteAddress vdso) {
  if (saved_) saved_->keep_as_is();
  saved_.reset();
  RemoteAddress instruction = vdso + TRY(vdso_system_call_offset());
  int64_t result = TRY(single_call(tid_, instruction, SYS_munmap, {value(region_.there), CallBatch::kRegionBytes}));
  if (result < 0) return Error{ErrorKind::failed, static_cast<int>(-result), "munmap", "our code in the target"};
  return settle(tid_);
}

Result<void> RemoteCalls::end_process(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    CallBatch nothing = batch();
    nothing.add(SYS_getpid);
    TRY(run(nothing));  // ends in a signal stop, where the signal can be exchanged for another
    TRY(sys::set_signal_mask(tid_, 0));
    TRY(sys::ptrace_continue(tid_, WTERMSIG(wait_status)));
    sys::Stop stop = TRY(sys::wait_for_stop(tid_, patience(), kSpin));
    if (stop.kind != sys::Stop::Kind::ended) return error(ErrorKind::bug, "a signal did not end the process");
    return {};
  }
  CallBatch leave = batch();
  leave.add(SYS_exit_group, {static_cast<uint64_t>(WEXITSTATUS(wait_status))});
  auto ran = run(leave);
  if (ran) return error(ErrorKind::bug, "the process went on after its end");
  if (ran.error().kind != ErrorKind::gone) return ran;
  return {};
}

Result<void> RemoteCalls::run(CallBatch& batch) {
  if (batch.empty()) return {};
  RemoteAddress calls_at = region_.there + CallBatch::kCodeBytes;
  RemoteAddress data_at = region_.there + (CallBatch::kRegionBytes - batch.data_.size());
  auto calls = std::as_writable_bytes(std::span(batch.calls_));
  TRY(put(calls_at, calls));
  if (!batch.data_.empty()) TRY(put(data_at, batch.data_));

  user_regs_struct registers = TRY(sys::get_registers(tid_));
  registers.rip = value(region_.there);
  registers.orig_rax = ~uint64_t{0};  // nothing to restart
  registers.r12 = value(calls_at);
  registers.r13 = batch.calls_.size();
  registers.r15 = value(calls_at);
  registers.rsp = value(region_.there) + CallBatch::kCodeBytes - 256;
  registers.eflags &= ~uint64_t{0x500};  // neither trap nor direction flag
  TRY(sys::set_registers(tid_, registers));
  TRY(sys::ptrace_continue(tid_));
  TRY(await(tid_, sys::Stop::Kind::signal, false));

  TRY(get(calls_at, calls));
  if (!batch.data_.empty()) TRY(get(data_at, batch.data_));
  return {};
}

}  // namespace godwit::freeze
