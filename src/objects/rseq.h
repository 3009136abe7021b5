// Restartable sequences: a thread's registration, and the abort that the kernel owes a thread stopped inside a
// sequence.
//
// The kernel lets a thread that lost its processor inside a sequence go on at the sequence's abort address. A thread
// that is moved loses its processor, so its image gets the registers after that abort; at the source, if it goes on
// there, the kernel does it by itself. Source: rseq(2), linux/rseq.h, Linux kernel/rseq.c (rseq_ip_fixup).
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "godwit/image.pb.h"

namespace godwit::objects {

struct CriticalSection {  // struct rseq_cs
  uint32_t version;
  uint32_t flags;
  uint64_t start;
  uint64_t length;
  uint64_t abort_address;
};

// Where a thread stopped at `instruction` goes on.
uint64_t after_abort(const CriticalSection& section, uint64_t instruction);

// The registration of a stopped thread; `address` 0: none.
Result<image::Rseq> capture_rseq(pid_t host_tid);
// Where that thread, stopped at `instruction` in its own code, is to go on: reads its memory.
Result<uint64_t> instruction_after_abort(pid_t host_tid, const image::Rseq& rseq, uint64_t instruction);
// Registers again from inside. Requires: the thread has no registration (a forked one has its parent's).
void add_rseq(freeze::CallBatch& batch, const image::Rseq& rseq);

}  // namespace godwit::objects
