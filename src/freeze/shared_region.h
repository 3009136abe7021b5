// SharedRegion: memory for injected code that the target and we have mapped both, so that batches are written and read
// without a system call. Processes that are cloned from the target share it too: only one of them runs at a time.
// Owns a memfd and our mapping of it. Source: memfd_create(2), mmap(2).
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "freeze/remote_address.h"

namespace godwit::freeze {

// Where a target has its injected region.
struct CodeRegion {
  RemoteAddress there{};
  std::byte* here = nullptr;  // the same memory in our own address space; null: not shared
};

class SharedRegion {
 public:
  static Result<SharedRegion> create(size_t bytes);
  ~SharedRegion();
  SharedRegion(SharedRegion&& other) noexcept;
  SharedRegion& operator=(SharedRegion&&) = delete;

  int fd() const { return memory_.get(); }
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  SharedRegion(UniqueFd memory, std::span<std::byte> bytes) : memory_(std::move(memory)), bytes_(bytes) {}
  UniqueFd memory_;
  std::span<std::byte> bytes_;
};

}  // namespace godwit::freeze
