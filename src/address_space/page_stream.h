// Pages on the wire: frames of ranges and their bytes, read from one process and written into another.
//
// A pages frame is {u32 pid, u32 count, count x {u64 start, u64 end}} and then the bytes of all ranges, at most
// kChunkBytes; a shared memory frame is {u32 object, u32 zero, u64 offset} and then bytes. Little-endian. Nothing is
// copied between process and connection but once each way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "sys/process_memory.h"
#include "transport/connection.h"

namespace godwit::address_space {

constexpr uint64_t kPageBytes = 4096;
constexpr size_t kChunkBytes = size_t{512} << 10;
constexpr size_t kRangesPerChunk = 512;

struct PageCounts {
  uint64_t sent = 0;
  uint64_t zero = 0;  // found all zero, not sent
};

class PageSender {
 public:
  explicit PageSender(transport::Connection& connection);

  // Sends the pages of `range` of process `host_pid`. With `skip_zero` pages of zeros are left out: the destination's
  // memory is zero there.
  Result<void> send(pid_t host_pid, pid_t pid, sys::AddressRange range, bool skip_zero);
  // Sends `length` bytes of a memory object from `fd` at `offset`; holes and zero pages are left out.
  Result<void> send_object(uint32_t object, int fd, uint64_t offset, uint64_t length);
  // Sends what has gathered. Call it after the last send().
  Result<void> flush();
  const PageCounts& counts() const { return counts_; }

 private:
  Result<void> gather(sys::AddressRange range);
  Result<void> read_protected(const std::vector<sys::AddressRange>& ranges);
  transport::Connection& connection_;
  std::vector<std::byte> buffer_;
  std::vector<sys::AddressRange> ranges_;
  size_t gathered_ = 0;  // bytes
  pid_t host_pid_ = 0;
  pid_t pid_ = 0;
  bool skip_zero_ = false;
  PageCounts counts_;
};

// Where received pages go.
class PageReceiver {
 public:
  using FindProcess = std::function<Result<const sys::MemoryFile*>(pid_t)>;
  using FindObject = std::function<Result<int>(uint32_t)>;
  PageReceiver(transport::Connection& connection, FindProcess process, FindObject object);

  // Takes the payload of a frame whose header has just been read.
  Result<void> receive_pages(uint32_t length);
  Result<void> receive_object(uint32_t length);

 private:
  transport::Connection& connection_;
  FindProcess process_;
  FindObject object_;
  std::vector<std::byte> buffer_;
};

}  // namespace godwit::address_space
