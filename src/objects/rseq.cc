#include "objects/rseq.h"

#include <sys/syscall.h>

#include <cerrno>

#include <span>

#include "sys/process_memory.h"
#include "sys/ptrace.h"

namespace godwit::objects {

namespace {
constexpr uint64_t kSectionPointer = 8;  // offset of rseq_cs in struct rseq
}

uint64_t after_abort(const CriticalSection& section, uint64_t instruction) {
  bool inside = instruction - section.start < section.length;
  return inside ? section.abort_address : instruction;
}

Result<image::Rseq> capture_rseq(pid_t host_tid) {
  image::Rseq image;
  auto configuration = sys::get_rseq_configuration(host_tid);
  if (!configuration) {
    if (configuration.error().errno_value == EIO) return image;  // a kernel without rseq
    return std::unexpected(std::move(configuration.error()));
  }
  image.set_address(configuration->address);
  image.set_size(configuration->size);
  image.set_signature(configuration->signature);
  image.set_flags(configuration->flags);
  return image;
}

Result<uint64_t> instruction_after_abort(pid_t host_tid, const image::Rseq& rseq, uint64_t instruction) {
  if (rseq.address() == 0) return instruction;
  uint64_t pointer = 0;
  TRY(sys::read_memory_at(host_tid, rseq.address() + kSectionPointer, std::as_writable_bytes(std::span(&pointer, 1))));
  if (pointer == 0) return instruction;
  CriticalSection section;
  auto read = sys::read_memory_at(host_tid, pointer, std::as_writable_bytes(std::span(&section, 1)));
  if (!read) return instruction;  // a pointer the kernel would kill the program for; leave that to the kernel
  return after_abort(section, instruction);
}

void add_rseq(freeze::CallBatch& batch, const image::Rseq& rseq) {
  if (rseq.address() == 0) return;
  batch.add(SYS_rseq, {rseq.address(), rseq.size(), rseq.flags(), rseq.signature()});
}

}  // namespace godwit::objects
