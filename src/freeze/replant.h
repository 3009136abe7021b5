// Lets a stopped thread go on with the system call it was in: the last step of a restore, and of a rollback.
//
// Registers are set here and nowhere else afterwards. A call that the kernel restarts by itself needs only them. For
// one that lives in task->restart_block a new block is *planted*: the thread makes the same call with the time left, is
// interrupted at once, and so has the block that the program's own registers (rax = -ERESTART_RESTARTBLOCK) refer to. A
// call that the kernel never restarts gets -ERESTARTNOHAND instead of -EINTR, and its timeout shortened.
//
// What a program can see: after epoll_wait r10, and after epoll_pwait2, rt_sigtimedwait, semtimedop and io_getevents
// the register of the timeout, hold the shortened timeout (its address: below the stack's red zone). C compilers keep
// nothing there. SO_RCVTIMEO and SO_SNDTIMEO start again with their full time. A failure leaves the thread unfit to
// run: at the destination it is discarded; at the source nothing is planted and only ptrace itself can fail. Uses
// ptrace(2), process_vm_writev(2); from the tracing thread only.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <chrono>
#include <functional>
#include <span>

#include "base/result.h"
#include "freeze/remote_address.h"
#include "godwit/image.pb.h"

namespace godwit::freeze {

enum class Side {
  source,       // the very thread that was stopped: its restart block is still its own
  destination,  // a copy of it
};

// Sets the general registers of a stopped thread so that it goes on where `registers` were taken. `elapsed`: since
// `call` was captured. Requires: memory, extended state and signal mask are in place; the thread is stopped inside
// get_signal() (an interrupt or signal stop, not a system-call stop) and its cgroup is not frozen; `vdso` is where its
// process has the vDSO. Costs 3 us, and 15 more when a block is planted.
Result<void> resume_in_progress(pid_t host_tid, Side side, RemoteAddress vdso, const user_regs_struct& registers,
                                const image::SystemCallInProgress& call, std::chrono::nanoseconds elapsed);

// The same at the destination, with everything taken from the image. Errors: corrupt too.
Result<void> resume_in_progress(pid_t host_tid, const image::Thread& thread, RemoteAddress vdso,
                                std::chrono::nanoseconds elapsed);

// The part of it that is arithmetic and needs the program's memory: registers (and memory) for REPEAT and ADJUST.
struct ProgramMemory {
  std::function<Result<void>(uint64_t address, std::span<std::byte> into)> read;
  std::function<Result<void>(uint64_t address, std::span<const std::byte> bytes)> write;
};
Result<user_regs_struct> with_time_left(const user_regs_struct& registers, const image::SystemCallInProgress& call,
                                        std::chrono::nanoseconds elapsed, const ProgramMemory& memory);

}  // namespace godwit::freeze
