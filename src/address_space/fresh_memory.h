// FreshMemory: fills a prepared process's memory in which there is nothing yet: pages come into being with their
// content (UFFDIO_COPY) instead of being made, zeroed and found one by one (writes to /proc/PID/mem).
//
// Where a page is there already, or a mapping is none of those that it began with, it writes as usual. While it lives
// nobody else may write to the process: a page that is missing would be an error (UFFD_USER_MODE_ONLY).
// Source: ioctl_userfaultfd(2), Linux mm/userfaultfd.c (mfill_atomic).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "address_space/range_set.h"
#include "base/result.h"
#include "godwit/image.pb.h"
#include "sys/process_memory.h"
#include "sys/userfaultfd.h"

namespace godwit::address_space {

class FreshMemory {
 public:
  // Whether it is of use: where every process gets huge pages, memory that is written to is quicker, and stays huge.
  static bool worthwhile();
  // Mappings of `layout` that are large, private, anonymous and not wanted in huge pages.
  static Result<FreshMemory> of(sys::Userfaultfd faults, const image::AddressSpace& layout);

  // `memory`: of the same process. Several threads may write at once.
  Result<void> write(const sys::MemoryFile& memory, uint64_t address, std::span<const std::byte> bytes);

 private:
  explicit FreshMemory(sys::Userfaultfd faults)
      : faults_(std::move(faults)), writing_(std::make_unique<std::mutex>()) {}
  std::optional<sys::AddressRange> next_mapping(uint64_t address) const;
  Result<size_t> fill(uint64_t address, std::span<const std::byte> bytes);

  sys::Userfaultfd faults_;
  std::unique_ptr<std::mutex> writing_;  // of mappings_
  RangeSet mappings_;
};

}  // namespace godwit::address_space
