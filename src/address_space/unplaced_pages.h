// UnplacedPages: content of one process that has no place yet: pages that the program made its own, in a private
// mapping of a file, where that file still ends earlier at the destination. It grows there with its last changes.
//
// A write to a page of a mapping behind the end of its file fails as the program's own would: mmap(2), SIGBUS.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "sys/process_memory.h"

namespace godwit::address_space {

class UnplacedPages {
 public:
  static bool are(const Error& failure);  // of a write to the process's memory

  // Writes whole pages; those that have no place are kept, instead of what was kept for them before.
  // Errors: exhausted when too much has no place.
  Result<void> write(const sys::MemoryFile& memory, uint64_t address, std::span<const std::byte> bytes);
  void forget(sys::AddressRange range);
  bool empty() const { return pages_.empty(); }
  // Ensures: nothing is kept any more. Errors: what has no place even now.
  Result<void> place(const sys::MemoryFile& memory);

 private:
  std::map<uint64_t, std::vector<std::byte>> pages_;  // by address
};

}  // namespace godwit::address_space
