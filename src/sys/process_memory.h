// Another process's memory: process_vm_readv(2), process_vm_writev(2) and /proc/PID/mem.
// /proc/PID/mem also reaches pages the program itself may not write (mm/gup.c, FOLL_FORCE). Owns its descriptor only.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// A half-open range of addresses, bytes.
struct AddressRange {
  uint64_t start;
  uint64_t end;
  uint64_t size() const { return end - start; }
  bool operator==(const AddressRange&) const = default;
};
inline constexpr AddressRange kEverywhere{0, ~uint64_t{0}};

// Reads up to 1024 ranges into one buffer, one after the other. Returns the bytes read, which are fewer when a range is
// no longer mapped. Requires: into.size() >= the sum of the ranges.
Result<size_t> read_memory(pid_t pid, std::span<const AddressRange> ranges, std::span<std::byte> into);
Result<void> read_memory_at(pid_t pid, uint64_t address, std::span<std::byte> into);
Result<void> write_memory(pid_t pid, uint64_t address, std::span<const std::byte> bytes);
// The reverse of read_memory(). Also fewer when a range may not be written by the program itself; what is behind the
// returned number may have been written in part.
Result<size_t> write_memory(pid_t pid, std::span<const AddressRange> ranges, std::span<const std::byte> bytes);

class MemoryFile {
 public:
  static Result<MemoryFile> open(pid_t pid);
  Result<void> write(uint64_t address, std::span<const std::byte> bytes) const;
  Result<void> read(uint64_t address, std::span<std::byte> into) const;

 private:
  explicit MemoryFile(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace godwit::sys
