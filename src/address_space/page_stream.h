// Pages on the wire: frames of ranges and their bytes, read from one process and written into another.
//
// A pages frame is {u32 pid, u32 count, count x {u64 start, u64 end}} and then the bytes of all ranges, at most
// kChunkBytes; a packed_pages frame has {u32 codec, u32 zero} and the compressed bytes instead; a zero_pages frame is
// the same without bytes, for pages that are to be dropped, and so are frames of owed and guarded pages; the frames of
// shared memory name an object instead of a process, and offsets instead of addresses. Little-endian. Nothing is copied
// between process and connection but once each way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "address_space/compression_choice.h"
#include "base/result.h"
#include "sys/process_memory.h"
#include "transport/connection.h"

namespace godwit::address_space {

constexpr uint64_t kPageBytes = 4096;
constexpr size_t kChunkBytes = size_t{512} << 10;
constexpr size_t kRangesPerChunk = 512;

bool all_zero(const std::byte* page);
// `ranges` are in order, and so is `page`.
void append_page(std::vector<sys::AddressRange>& ranges, uint64_t page);

struct PageCounts {
  uint64_t sent = 0;
  uint64_t zero = 0;  // found all zero, not sent
  uint64_t compressed_bytes = 0, compressed_to_bytes = 0;
  PageCounts& operator+=(const PageCounts& other);
};

// Whose pages are sent.
struct PageOrigin {
  pid_t host_pid = 0;
  pid_t pid = 0;
  bool over_zeros = false;  // what the destination has there is zero: pages of zeros need not be sent
  PageClass pages = PageClass::anonymous;
  bool operator==(const PageOrigin&) const = default;
};

class PageSender {
 public:
  explicit PageSender(transport::Connection& connection);

  // Whether the program runs: what it unmaps under our eyes is passed by then (see take_unread), and an error
  // otherwise.
  void set_running(bool running) { running_ = running; }
  // Asked after each chunk while the program runs, with the bytes of pages sent so far. False: what is not sent yet is
  // to stay behind, see stopped(). An Error ends the pass.
  using Watch = std::function<Result<bool>(uint64_t sent_bytes)>;
  void set_watch(Watch watch) {
    watch_ = std::move(watch);
    stopped_ = false;
  }
  bool stopped() const { return running_ && stopped_; }
  // Asks the watch, for passes that send nothing.
  Result<void> ask_watch();
  Result<void> send(const PageOrigin& origin, sys::AddressRange range);
  // Sends pages of a memory object: ranges of offsets and their bytes, at most kChunkBytes.
  Result<void> send_object(uint32_t object, std::span<const sys::AddressRange> offsets,
                           std::span<const std::byte> bytes);
  // Tells that the object has holes there now.
  Result<void> drop_of_object(uint32_t object, std::span<const sys::AddressRange> offsets) {
    return send_ranges(transport::FrameType::shared_memory_holes, static_cast<pid_t>(object), offsets);
  }
  // Tells that these ranges are now as they were before anything was written to them.
  Result<void> drop(pid_t pid, std::span<const sys::AddressRange> ranges) {
    return send_ranges(transport::FrameType::zero_pages, pid, ranges);
  }
  // Tells that the content of these ranges will come when the program runs at the destination.
  Result<void> owe(pid_t pid, std::span<const sys::AddressRange> ranges) {
    return send_ranges(transport::FrameType::owed_pages, pid, ranges);
  }
  // Tells that these ranges are now guard pages, without content, or are no longer.
  Result<void> guard(pid_t pid, std::span<const sys::AddressRange> ranges) {
    return send_ranges(transport::FrameType::guarded_pages, pid, ranges);
  }
  Result<void> unguard(pid_t pid, std::span<const sys::AddressRange> ranges) {
    return send_ranges(transport::FrameType::unguarded_pages, pid, ranges);
  }
  // Sends what has gathered. Call it after the last send().
  Result<void> flush();
  // Forgets what has gathered, of a process that has ended meanwhile.
  void abandon();
  // The pages that were not sent because they are zero, since they were last asked for. Requires: flushed.
  std::vector<sys::AddressRange> take_zeros() { return std::exchange(zeros_, {}); }
  // The ranges that could not be read, since they were last asked for: part of them was not there, the rest may be, and
  // was not sent. Requires: flushed.
  std::vector<sys::AddressRange> take_unread() { return std::exchange(unread_, {}); }
  const PageCounts& counts() const { return counts_; }

 private:
  Result<void> gather(sys::AddressRange range);
  Result<std::vector<sys::AddressRange>> read(std::vector<sys::AddressRange> ranges, size_t wanted);
  Result<void> send_ranges(transport::FrameType type, pid_t pid, std::span<const sys::AddressRange> ranges);
  Result<void> send_worthwhile(const std::vector<sys::AddressRange>& ranges);
  Result<void> send_pages(std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes);
  size_t pack(transport::Codec codec, std::span<const std::byte> bytes);

  transport::Connection& connection_;
  std::vector<std::byte> buffer_;
  std::vector<sys::AddressRange> ranges_;
  size_t gathered_ = 0;  // bytes
  PageOrigin origin_;
  bool running_ = false;
  bool stopped_ = false;
  Watch watch_;
  std::vector<sys::AddressRange> zeros_;
  std::vector<sys::AddressRange> unread_;
  PageCounts counts_;
  CompressionChoice choice_;
  transport::Compressor compressor_;
  std::vector<std::byte> packed_;
};

// Where received pages go.
class PageReceiver {
 public:
  // The bytes of the ranges, one after the other.
  using Put = std::function<Result<void>(pid_t, std::span<const sys::AddressRange>, std::span<const std::byte>)>;
  using FindObject = std::function<Result<int>(uint32_t)>;
  using Drop = std::function<Result<void>(pid_t, std::span<const sys::AddressRange>)>;
  PageReceiver(transport::Connection& connection, Put put, FindObject object, Drop drop);

  // Whether receive_pages() takes such a frame.
  static bool takes(transport::FrameType type) {
    return type == transport::FrameType::pages || type == transport::FrameType::packed_pages;
  }
  // Takes the payload of a frame whose header has just been read.
  Result<void> receive_pages(transport::FrameHeader header);
  Result<void> receive_drop(uint32_t length);
  // Ranges without bytes, as PageSender::owe() and guard() tell them.
  Result<void> receive_ranges(uint32_t length, const Drop& told);
  // Pages of a memory object, or holes in it; nothing behind its end.
  Result<void> receive_object(transport::FrameHeader header);

 private:
  Result<void> receive_packed(size_t length, std::span<std::byte> into);

  transport::Connection& connection_;
  Put put_;
  FindObject object_;
  Drop drop_;
  std::vector<std::byte> buffer_;
  transport::Compressor compressor_;
  std::vector<std::byte> packed_;
};

}  // namespace godwit::address_space
