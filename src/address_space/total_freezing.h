// Total freezing (stop-and-copy): the whole address space moves while the program is stopped.
//
// What is sent: of private mappings the pages that are the program's own (present or swapped, not the zero page, not a
// file's); memory objects once each, whoever maps them. Memory of files moves with the files.
#pragma once

#include <span>

#include "address_space/page_stream.h"
#include "base/result.h"
#include "godwit/image.pb.h"
#include "objects/shared_memory.h"
#include "sys/pagemap_scan.h"

namespace godwit::address_space {

struct MemoryCounts {
  uint64_t total_pages = 0;  // that the program has: sent and zero
  uint64_t sent_pages = 0;
  uint64_t zero_pages = 0;
};

// The ranges of one process whose content is its own, by address.
Result<std::vector<sys::AddressRange>> own_pages(pid_t host_pid, const image::AddressSpace& space);

struct MemoryOfProcess {
  pid_t host_pid;
  pid_t pid;
  const image::AddressSpace* space;
};
// Sends all memory. Requires: all threads stopped.
Result<MemoryCounts> send_whole_memory(std::span<const MemoryOfProcess> processes, const image::LogicalHost& host,
                                       const objects::SharedMemoryTable& shared, transport::Connection& connection);

// How many bytes send_whole_memory would read now: for progress, predictions and --dry-run.
Result<uint64_t> memory_bytes(std::span<const MemoryOfProcess> processes);

}  // namespace godwit::address_space
