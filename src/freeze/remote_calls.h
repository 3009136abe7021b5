// RemoteCalls: a scope in which a stopped thread makes system calls for us.
//
// Opening it saves the thread's registers and signal mask, blocks every signal and maps a region of kRegionBytes (code,
// calls, data) into its address space; closing it unmaps the region and puts registers and mask back. While it is open
// the thread holds foreign registers: keep the scope short. One scope per address space at a time, from the tracing
// thread only. Failure leaves the thread as it was, or gone. Uses ptrace(2), process_vm_writev(2).
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "freeze/remote_address.h"
#include "freeze/shared_region.h"

namespace godwit::freeze {

// Where a `syscall` instruction stands inside this kernel's vDSO, bytes from its start.
Result<uint64_t> vdso_system_call_offset();

// A stopped thread's registers and signal mask, kept while it runs code of ours with every signal blocked, and put
// back.
class ThreadScope {
 public:
  static Result<ThreadScope> open(pid_t tid);
  ~ThreadScope();
  ThreadScope(ThreadScope&& other) noexcept;
  ThreadScope& operator=(ThreadScope&&) = delete;
  // What the destructor does, with the error told.
  Result<void> close();
  // The registers are the caller's from now on.
  void keep_as_is() { tid_ = 0; }

 private:
  ThreadScope(pid_t tid, const user_regs_struct& registers, uint64_t mask)
      : tid_(tid), registers_(registers), mask_(mask) {}
  pid_t tid_;  // 0: closed
  user_regs_struct registers_;
  uint64_t mask_;
};

class RemoteCalls {
 public:
  // Requires: `tid` is stopped and traced by this thread; `vdso` is where its address space has the vDSO.
  // `wanted`: put the region just there (it must be free); otherwise the kernel chooses.
  static Result<RemoteCalls> open(pid_t tid, RemoteAddress vdso, std::optional<RemoteAddress> wanted = {});
  // As open(), with the region in shared memory. `pidfd`: in the target, a descriptor that stands for this process.
  static Result<RemoteCalls> open_shared(pid_t tid, RemoteAddress vdso, RemoteAddress wanted,
                                         const SharedRegion& shared, int pidfd);
  // A scope over a region that is there already (inherited by fork); saves nothing and restores nothing.
  static RemoteCalls adopt(pid_t tid, CodeRegion region) { return {tid, region}; }
  ~RemoteCalls();
  RemoteCalls(RemoteCalls&& other) noexcept;
  RemoteCalls& operator=(RemoteCalls&&) = delete;

  // Runs all calls of `batch` and fills in their results. Individual failures are in the batch; an Error means that the
  // run itself failed. Blocks until the last call returned.
  Result<void> run(CallBatch& batch);
  CallBatch batch() const { return CallBatch(region_.there); }
  RemoteAddress region() const { return region_.there; }
  pid_t tid() const { return tid_; }
  // One call through the vDSO's own instruction, without the region: two stops.
  static Result<int64_t> single_call(pid_t tid, RemoteAddress instruction, uint64_t number,
                                     std::array<uint64_t, 6> arguments);

  // Ends the process as `wait_status` (wait(2)) says, by exit or by signal, and takes its end from the kernel.
  // Requires: the last run ended normally. Signal handlers must be the defaults.
  Result<void> end_process(int wait_status);
  // Unmaps the region and restores registers and mask; what the destructor does, with the error told.
  Result<void> close();
  // As close() but leaves the registers to the caller, who sets them next.
  Result<void> unmap_only(RemoteAddress vdso);

 private:
  RemoteCalls(pid_t tid, CodeRegion region) : tid_(tid), region_(region) {}
  Result<void> map_region(RemoteAddress wanted, uint64_t flags, int64_t fd);
  Result<void> put(RemoteAddress to, std::span<const std::byte> bytes) const;
  Result<void> get(RemoteAddress from, std::span<std::byte> bytes) const;
  pid_t tid_;
  CodeRegion region_;
  RemoteAddress instruction_{};
  std::optional<ThreadScope> saved_;
};

}  // namespace godwit::freeze
