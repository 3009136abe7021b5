#include "objects/thread_state.h"

#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "objects/rseq.h"
#include "objects/scheduling.h"
#include "objects/signals.h"
#include "proc/status.h"
#include "sys/ptrace.h"
#include "sys/robust_list.h"
#include "sys/text_file.h"

namespace godwit::objects {

namespace {

constexpr uint32_t kAutoDisarm = 1u << 31;  // SS_AUTODISARM, linux/signal.h
constexpr int kMostPending = 1000;          // so many fit one batch
constexpr size_t kMostExtendedState = 16384;
constexpr size_t kNameBytes = 16;  // TASK_COMM_LEN
constexpr uint32_t kMostRseqBytes = 4096;
constexpr uint64_t kRobustListBytes = 24;  // sizeof(struct robust_list_head)

struct KernelStack {  // stack_t of the kernel
  uint64_t address;
  uint32_t flags;
  uint32_t pad;
  uint64_t size;
};
static_assert(sizeof(KernelStack) == sizeof(stack_t));

Result<proc::Status> status_of(pid_t host_pid, pid_t host_tid) {
  return proc::parse_status(
      TRY(sys::read_text("/proc/" + std::to_string(host_pid) + "/task/" + std::to_string(host_tid) + "/status")));
}

void set_stack(image::Thread& thread, uint64_t address, uint64_t size, uint32_t flags) {
  image::AlternateStack* stack = thread.mutable_alternate_stack();
  stack->set_address(address);
  stack->set_size(size);
  stack->set_flags(size == 0 ? uint32_t{SS_DISABLE} : flags & kAutoDisarm);
}

void take_from_record(const godwit_task_record& record, image::Thread& thread) {
  thread.set_clear_child_tid(record.clear_child_tid);
  set_stack(thread, record.alternate_stack, record.alternate_stack_size, record.alternate_stack_flags);
  thread.set_parent_death_signal(record.parent_death_signal);
  thread.set_timer_slack_ns(record.timer_slack);
  thread.mutable_credentials()->set_securebits(record.securebits);
  thread.mutable_credentials()->set_no_new_privs(record.no_new_privs != 0);
}

Result<void> capture_pending(pid_t host_tid, uint64_t pending_set, image::Thread& thread) {
  if (pending_set == 0) return {};
  auto queued = TRY(sys::peek_pending_signals(host_tid, false));
  if (queued.size() > kMostPending) return error(ErrorKind::unsupported, "more than 1000 signals pending for a thread");
  for (image::SignalInfo& signal : pending_images(queued, pending_set)) *thread.add_pending() = std::move(signal);
  return {};
}

}  // namespace

Result<void> read_thread_ahead(pid_t host_pid, pid_t host_tid, image::Thread& thread) {
  proc::Status status = TRY(status_of(host_pid, host_tid));
  thread.set_tid(status.pids.back());
  thread.set_name(status.name);
  *thread.mutable_credentials() = credentials_of(status);
  *thread.mutable_scheduling() = TRY(capture_scheduling(host_tid));
  return {};
}

bool changed_since(const godwit_task_record& then, const godwit_task_record& now) {
  return then.credentials_identity != now.credentials_identity ||
         std::memcmp(then.name, now.name, sizeof then.name) != 0 || then.no_new_privs != now.no_new_privs ||
         then.scheduling_policy != now.scheduling_policy || then.scheduling_priority != now.scheduling_priority;
}

Result<void> capture_thread(pid_t host_pid, pid_t host_tid, const user_regs_struct& registers,
                            const godwit_task_record* record, image::Thread& thread) {
  *thread.mutable_rseq() = TRY(capture_rseq(host_tid));
  user_regs_struct general = registers;
  bool in_own_code = static_cast<int64_t>(registers.orig_rax) < 0;
  if (in_own_code) general.rip = TRY(instruction_after_abort(host_tid, thread.rseq(), general.rip));
  thread.set_general_registers(&general, sizeof general);
  auto extended = TRY(sys::get_extended_state(host_tid));
  thread.set_extended_state(extended.data(), extended.size());
  thread.set_blocked_signals(record != nullptr ? record->blocked : TRY(sys::get_signal_mask(host_tid)));
  sys::RobustList list = TRY(sys::get_robust_list(host_tid));
  thread.set_robust_list(list.head);
  thread.set_robust_list_size(list.size);
  uint64_t pending = record != nullptr ? record->thread_pending : TRY(status_of(host_pid, host_tid)).thread_pending;
  TRY(capture_pending(host_tid, pending, thread));
  if (record != nullptr) take_from_record(*record, thread);
  return {};
}

void ThreadStateQuestions::add(freeze::CallBatch& batch) {
  tid_address_ = batch.reserve(sizeof(uint64_t));
  tid_address_call_ = batch.add(SYS_prctl, {PR_GET_TID_ADDRESS, value(*tid_address_), 0, 0, 0});
  stack_ = batch.reserve(sizeof(KernelStack));
  stack_call_ = batch.add(SYS_sigaltstack, {0, value(*stack_)});
  death_signal_ = batch.reserve(sizeof(int));
  death_signal_call_ = batch.add(SYS_prctl, {PR_GET_PDEATHSIG, value(*death_signal_), 0, 0, 0});
  slack_call_ = batch.add(SYS_prctl, {PR_GET_TIMERSLACK, 0, 0, 0, 0});
  securebits_call_ = batch.add(SYS_prctl, {PR_GET_SECUREBITS, 0, 0, 0, 0});
}

Result<void> ThreadStateQuestions::answers(const freeze::CallBatch& batch, image::Thread& thread) const {
  CHECK(tid_address_ && stack_ && death_signal_);
  for (size_t call : {tid_address_call_, stack_call_, death_signal_call_}) {
    if (batch.result(call) != 0) return error(ErrorKind::unsupported, "a thread could not be asked for its state");
  }
  thread.set_clear_child_tid(batch.read<uint64_t>(*tid_address_));
  auto stack = batch.read<KernelStack>(*stack_);
  set_stack(thread, stack.address, stack.size, stack.flags);
  thread.set_parent_death_signal(batch.read<int>(*death_signal_));
  thread.set_timer_slack_ns(static_cast<uint64_t>(std::max<int64_t>(batch.result(slack_call_), 0)));
  thread.mutable_credentials()->set_securebits(static_cast<uint32_t>(batch.result(securebits_call_)));
  return {};
}

Result<void> check_thread(const image::Thread& thread, const Owner& owner, const image::Credentials& available) {
  const image::AlternateStack& stack = thread.alternate_stack();
  bool sound = thread.tid() > 1 && thread.name().size() < kNameBytes &&
               thread.general_registers().size() == sizeof(user_regs_struct) &&
               thread.extended_state().size() <= kMostExtendedState && thread.pending_size() <= kMostPending &&
               thread.rseq().size() <= kMostRseqBytes && thread.parent_death_signal() >= 0 &&
               thread.parent_death_signal() <= 64 && thread.system_call().arguments_size() <= 6 &&
               (stack.flags() == 0 || stack.flags() == SS_DISABLE || stack.flags() == kAutoDisarm) &&
               (thread.robust_list() == 0 || thread.robust_list_size() == kRobustListBytes);
  if (!sound) return error(ErrorKind::corrupt, "state of thread " + std::to_string(thread.tid()));
  TRY(check_credentials(thread.credentials(), owner, available));
  return check_scheduling(thread.scheduling(), owner);
}

Result<void> add_thread_calls(freeze::CallBatch& batch, pid_t pid, const image::Thread& thread,
                              const image::Credentials& current) {
  const image::AlternateStack& stack = thread.alternate_stack();
  KernelStack kernel_stack{stack.address(), stack.size() == 0 ? uint32_t{SS_DISABLE} : stack.flags(), 0, stack.size()};
  batch.add(SYS_sigaltstack, {value(batch.put_value(kernel_stack)), 0});
  batch.add(SYS_set_tid_address, {thread.clear_child_tid()});
  if (thread.robust_list() != 0) {
    batch.add(SYS_set_robust_list, {thread.robust_list(), thread.robust_list_size()});
  }
  add_rseq(batch, thread.rseq());
  batch.add(SYS_prctl, {PR_SET_NAME, value(batch.put_string(thread.name().c_str())), 0, 0, 0});
  if (thread.timer_slack_ns() != 0) batch.add(SYS_prctl, {PR_SET_TIMERSLACK, thread.timer_slack_ns(), 0, 0, 0});
  TRY(add_credentials(batch, thread.credentials(), current));
  uint64_t death_signal = static_cast<uint64_t>(thread.parent_death_signal());
  if (death_signal != 0) batch.add(SYS_prctl, {PR_SET_PDEATHSIG, death_signal, 0, 0, 0});
  std::vector<const image::SignalInfo*> pending;
  for (const image::SignalInfo& signal : thread.pending()) pending.push_back(&signal);
  return add_thread_pending(batch, pid, thread.tid(), pending);
}

Result<void> restore_thread(pid_t host_tid, const image::Thread& thread) {
  auto* bytes = reinterpret_cast<const std::byte*>(thread.extended_state().data());
  TRY(sys::set_extended_state(host_tid, std::vector<std::byte>(bytes, bytes + thread.extended_state().size())));
  TRY(sys::set_signal_mask(host_tid, thread.blocked_signals()));
  return restore_scheduling(host_tid, thread.scheduling());
}

}  // namespace godwit::objects
