#include "address_space/page_stream.h"

#include <sys/types.h>

#include <algorithm>
#include <cstring>

#include "sys/file.h"

namespace godwit::address_space {

namespace {

struct PagesHead {
  uint32_t pid;
  uint32_t count;
};
struct ObjectHead {
  uint32_t object;
  uint32_t zero;
  uint64_t offset;
};

bool all_zero(const std::byte* page) {
  uint64_t word;
  std::memcpy(&word, page, sizeof word);
  return word == 0 && std::memcmp(page, page + sizeof word, kPageBytes - sizeof word) == 0;
}

}  // namespace

PageSender::PageSender(transport::Connection& connection) : connection_(connection), buffer_(kChunkBytes) {
  ranges_.reserve(kRangesPerChunk);
  std::fill(buffer_.begin(), buffer_.end(), std::byte{1});  // touched now, not in the freeze
}

Result<void> PageSender::send(pid_t host_pid, pid_t pid, sys::AddressRange range, bool skip_zero) {
  if (pid != pid_ || skip_zero != skip_zero_) TRY(flush());
  host_pid_ = host_pid;
  pid_ = pid;
  skip_zero_ = skip_zero;
  while (range.start < range.end) {
    sys::AddressRange part{range.start, std::min(range.end, range.start + (kChunkBytes - gathered_))};
    TRY(gather(part));
    range.start = part.end;
  }
  return {};
}

Result<void> PageSender::gather(sys::AddressRange range) {
  ranges_.push_back(range);
  gathered_ += range.size();
  if (gathered_ == kChunkBytes || ranges_.size() == kRangesPerChunk) return flush();
  return {};
}

// Pages that the program itself may not read at present: PROT_NONE, execute only.
Result<void> PageSender::read_protected(const std::vector<sys::AddressRange>& ranges) {
  sys::MemoryFile memory = TRY(sys::MemoryFile::open(host_pid_));
  size_t at = 0;
  for (const sys::AddressRange& range : ranges) {
    TRY(memory.read(range.start, std::span(buffer_).subspan(at, range.size())));
    at += range.size();
  }
  return {};
}

Result<void> PageSender::flush() {
  if (ranges_.empty()) return {};
  size_t wanted = std::exchange(gathered_, 0);
  std::vector<sys::AddressRange> ranges = std::exchange(ranges_, {});
  ranges_.reserve(kRangesPerChunk);
  size_t count = TRY(sys::read_memory(host_pid_, ranges, std::span(buffer_).first(wanted)));
  if (count != wanted) TRY(read_protected(ranges));

  // Runs of pages that are worth sending, closed up in the buffer.
  std::vector<sys::AddressRange> kept;
  size_t from = 0;
  size_t to = 0;
  for (const sys::AddressRange& range : ranges) {
    for (uint64_t page = range.start; page < range.end; page += kPageBytes, from += kPageBytes) {
      if (skip_zero_ && all_zero(&buffer_[from])) {
        ++counts_.zero;
        continue;
      }
      if (from != to) std::memmove(&buffer_[to], &buffer_[from], kPageBytes);
      to += kPageBytes;
      if (!kept.empty() && kept.back().end == page) {
        kept.back().end += kPageBytes;
      } else {
        kept.push_back({page, page + kPageBytes});
      }
    }
  }
  if (kept.empty()) return {};
  counts_.sent += to / kPageBytes;
  PagesHead head{static_cast<uint32_t>(pid_), static_cast<uint32_t>(kept.size())};
  std::vector<std::byte> bytes(sizeof head + kept.size() * sizeof(sys::AddressRange));
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, kept.data(), kept.size() * sizeof(sys::AddressRange));
  return connection_.send(transport::FrameType::pages, bytes, std::span(buffer_).first(to));
}

Result<void> PageSender::send_object(uint32_t object, int fd, uint64_t offset, uint64_t length) {
  TRY(flush());
  uint64_t end = offset + length;
  while (offset < end) {
    auto extent = TRY(sys::next_data(fd, offset));
    if (!extent || extent->start >= end) return {};
    offset = extent->start;
    uint64_t extent_end = std::min(extent->end, end);
    while (offset < extent_end) {
      size_t part = std::min<uint64_t>(kChunkBytes, extent_end - offset);
      TRY(sys::read_at(fd, offset, std::span(buffer_).first(part)));
      ObjectHead head{object, 0, offset};
      TRY(connection_.send(transport::FrameType::shared_memory_pages, std::as_bytes(std::span(&head, 1)),
                           std::span(buffer_).first(part)));
      counts_.sent += (part + kPageBytes - 1) / kPageBytes;
      offset += part;
    }
  }
  return {};
}

PageReceiver::PageReceiver(transport::Connection& connection, FindProcess process, FindObject object)
    : connection_(connection), process_(std::move(process)), object_(std::move(object)), buffer_(kChunkBytes) {}

Result<void> PageReceiver::receive_pages(uint32_t length) {
  PagesHead head;
  if (length < sizeof head) return error(ErrorKind::corrupt, "a pages frame is too short");
  TRY(connection_.receive_bytes(std::as_writable_bytes(std::span(&head, 1))));
  size_t range_bytes = size_t{head.count} * sizeof(sys::AddressRange);
  if (head.count > kChunkBytes / kPageBytes || length < sizeof head + range_bytes) {
    return error(ErrorKind::corrupt, "a pages frame names too many ranges");
  }
  std::vector<sys::AddressRange> ranges(head.count);
  TRY(connection_.receive_bytes(std::as_writable_bytes(std::span(ranges))));
  size_t rest = length - sizeof head - range_bytes;
  size_t sum = 0;
  for (const sys::AddressRange& range : ranges) {
    if (range.start >= range.end || range.size() > rest - std::min(sum, rest)) {
      return error(ErrorKind::corrupt, "a pages frame has ranges that do not fit it");
    }
    sum += range.size();
  }
  if (sum != rest || rest > buffer_.size()) return error(ErrorKind::corrupt, "a pages frame has the wrong length");
  const sys::MemoryFile* memory = TRY(process_(static_cast<pid_t>(head.pid)));
  TRY(connection_.receive_bytes(std::span(buffer_).first(rest)));
  size_t at = 0;
  for (const sys::AddressRange& range : ranges) {
    TRY(memory->write(range.start, std::span(buffer_).subspan(at, range.size())));
    at += range.size();
  }
  return {};
}

Result<void> PageReceiver::receive_object(uint32_t length) {
  ObjectHead head;
  if (length < sizeof head || length - sizeof head > buffer_.size()) {
    return error(ErrorKind::corrupt, "a shared memory frame has the wrong length");
  }
  TRY(connection_.receive_bytes(std::as_writable_bytes(std::span(&head, 1))));
  std::span<std::byte> bytes = std::span(buffer_).first(length - sizeof head);
  TRY(connection_.receive_bytes(bytes));
  return sys::write_at(TRY(object_(head.object)), head.offset, bytes);
}

}  // namespace godwit::address_space
