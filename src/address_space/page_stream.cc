#include "address_space/page_stream.h"

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "sys/file.h"

namespace godwit::address_space {

namespace {

struct PagesHead {
  uint32_t pid;
  uint32_t count;
};
struct PackedHead {
  uint32_t codec;
  uint32_t zero;
};

}  // namespace

bool all_zero(const std::byte* page) {
  uint64_t word;
  std::memcpy(&word, page, sizeof word);
  return word == 0 && std::memcmp(page, page + sizeof word, kPageBytes - sizeof word) == 0;
}

PageSender::PageSender(transport::Connection& connection) : connection_(connection), buffer_(kChunkBytes) {
  ranges_.reserve(kRangesPerChunk);
  std::fill(buffer_.begin(), buffer_.end(), std::byte{1});  // touched now, not in the freeze
}

Result<void> PageSender::send(const PageOrigin& origin, sys::AddressRange range) {
  if (origin != origin_) TRY(flush());
  origin_ = origin;
  while (range.start < range.end) {
    sys::AddressRange part{range.start, std::min(range.end, range.start + (kChunkBytes - gathered_))};
    TRY(gather(part));
    range.start = part.end;
  }
  return {};
}

void PageSender::abandon() {
  ranges_.clear();
  gathered_ = 0;
  zeros_.clear();
  unread_.clear();
}

Result<void> PageSender::gather(sys::AddressRange range) {
  ranges_.push_back(range);
  gathered_ += range.size();
  if (gathered_ == kChunkBytes || ranges_.size() == kRangesPerChunk) return flush();
  return {};
}

// Reads the ranges into the buffer, one after the other, and returns those that could be read. The second way also
// reaches pages that the program itself may not read at present: PROT_NONE, execute only.
Result<std::vector<sys::AddressRange>> PageSender::read(std::vector<sys::AddressRange> ranges, size_t wanted) {
  auto count = sys::read_memory(origin_.host_pid, ranges, std::span(buffer_).first(wanted));
  if (count && *count == wanted) return ranges;
  auto memory = sys::MemoryFile::open(origin_.host_pid);
  if (!memory && running_) {
    unread_.insert(unread_.end(), ranges.begin(), ranges.end());
    return std::vector<sys::AddressRange>();
  }
  if (!memory) return std::unexpected(std::move(memory.error()));
  std::vector<sys::AddressRange> readable;
  size_t at = 0;
  for (const sys::AddressRange& range : ranges) {
    auto got = memory->read(range.start, std::span(buffer_).subspan(at, range.size()));
    if (!got && running_) {
      unread_.push_back(range);
      continue;
    }
    TRY(std::move(got));
    readable.push_back(range);
    at += range.size();
  }
  return readable;
}

Result<void> PageSender::ask_watch() {
  if (running_ && watch_) stopped_ = !TRY(watch_(counts_.sent * kPageBytes));
  return {};
}

Result<void> PageSender::flush() {
  if (ranges_.empty()) return {};
  size_t wanted = std::exchange(gathered_, 0);
  std::vector<sys::AddressRange> ranges = TRY(read(std::exchange(ranges_, {}), wanted));
  ranges_.reserve(kRangesPerChunk);
  TRY(send_worthwhile(ranges));
  return ask_watch();
}

PageCounts& PageCounts::operator+=(const PageCounts& other) {
  sent += other.sent;
  zero += other.zero;
  compressed_bytes += other.compressed_bytes;
  compressed_to_bytes += other.compressed_to_bytes;
  return *this;
}

void append_page(std::vector<sys::AddressRange>& ranges, uint64_t page) {
  if (!ranges.empty() && ranges.back().end == page) {
    ranges.back().end += kPageBytes;
  } else {
    ranges.push_back({page, page + kPageBytes});
  }
}

namespace {

std::vector<std::byte> encode_head(pid_t pid, std::span<const sys::AddressRange> ranges) {
  PagesHead head{static_cast<uint32_t>(pid), static_cast<uint32_t>(ranges.size())};
  std::vector<std::byte> bytes(sizeof head + ranges.size_bytes());
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, ranges.data(), ranges.size_bytes());
  return bytes;
}

}  // namespace

// Closes up in the buffer the runs of pages that are worth sending, and sends them.
Result<void> PageSender::send_worthwhile(const std::vector<sys::AddressRange>& ranges) {
  std::vector<sys::AddressRange> kept;
  size_t from = 0;
  size_t to = 0;
  for (const sys::AddressRange& range : ranges) {
    for (uint64_t page = range.start; page < range.end; page += kPageBytes, from += kPageBytes) {
      if (origin_.over_zeros && all_zero(&buffer_[from])) {
        ++counts_.zero;
        append_page(zeros_, page);
        continue;
      }
      if (from != to) std::memmove(&buffer_[to], &buffer_[from], kPageBytes);
      to += kPageBytes;
      append_page(kept, page);
    }
  }
  if (kept.empty()) return {};
  counts_.sent += to / kPageBytes;
  return send_pages(kept, std::span(buffer_).first(to));
}

Result<void> PageSender::send_pages(std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes) {
  std::vector<std::byte> head = encode_head(origin_.pid, ranges);
  auto type = transport::FrameType::pages;
  transport::Codec codec = choice_.next(origin_.pages);
  size_t packed = codec == transport::Codec::none ? 0 : pack(codec, bytes);
  if (packed > 0) {
    counts_.compressed_bytes += bytes.size();
    counts_.compressed_to_bytes += packed;
    type = transport::FrameType::packed_pages;
    PackedHead how{static_cast<uint32_t>(codec), 0};
    auto how_bytes = std::as_bytes(std::span(&how, 1));
    head.insert(head.end(), how_bytes.begin(), how_bytes.end());
    bytes = std::span(packed_).first(packed);
  }
  auto begin = std::chrono::steady_clock::now();
  TRY(connection_.send(type, head, bytes));
  choice_.sent(bytes.size(), std::chrono::steady_clock::now() - begin);
  return {};
}

// Returns the length in packed_, or 0 when they do not shrink.
size_t PageSender::pack(transport::Codec codec, std::span<const std::byte> bytes) {
  if (packed_.empty()) packed_.resize(kChunkBytes);
  auto begin = std::chrono::steady_clock::now();
  size_t packed = compressor_.compress(codec, bytes, std::span(packed_).first(bytes.size() - 1));
  choice_.compressed(origin_.pages, codec, bytes.size(), packed == 0 ? bytes.size() : packed,
                     std::chrono::steady_clock::now() - begin);
  return packed;
}

Result<void> PageSender::send_ranges(transport::FrameType type, pid_t pid, std::span<const sys::AddressRange> ranges) {
  TRY(flush());
  while (!ranges.empty()) {
    auto part = ranges.first(std::min(ranges.size(), kRangesPerChunk));
    TRY(connection_.send(type, encode_head(pid, part)));
    ranges = ranges.subspan(part.size());
  }
  return {};
}

Result<void> PageSender::send_object(uint32_t object, std::span<const sys::AddressRange> offsets,
                                     std::span<const std::byte> bytes) {
  TRY(flush());
  std::vector<std::byte> head = encode_head(static_cast<pid_t>(object), offsets);
  TRY(connection_.send(transport::FrameType::shared_memory_pages, head, bytes));
  counts_.sent += bytes.size() / kPageBytes;
  return ask_watch();
}

PageReceiver::PageReceiver(transport::Connection& connection, Put put, FindObject object, Drop drop)
    : connection_(connection),
      put_(std::move(put)),
      object_(std::move(object)),
      drop_(std::move(drop)),
      buffer_(kChunkBytes) {
  std::fill(buffer_.begin(), buffer_.end(), std::byte{1});  // touched now, not in the freeze
}

namespace {

struct PagesFrame {
  pid_t pid;
  std::vector<sys::AddressRange> ranges;
  size_t rest;  // bytes of the frame that follow
};

// The head of a frame of ranges, checked: they are in order and whole pages.
Result<PagesFrame> receive_head(transport::Connection& connection, uint32_t length) {
  PagesHead head;
  if (length < sizeof head) return error(ErrorKind::corrupt, "a frame of pages is too short");
  TRY(connection.receive_bytes(std::as_writable_bytes(std::span(&head, 1))));
  size_t range_bytes = size_t{head.count} * sizeof(sys::AddressRange);
  if (head.count > kRangesPerChunk || length < sizeof head + range_bytes) {
    return error(ErrorKind::corrupt, "a frame of pages names too many ranges");
  }
  PagesFrame frame{static_cast<pid_t>(head.pid), std::vector<sys::AddressRange>(head.count),
                   length - sizeof head - range_bytes};
  TRY(connection.receive_bytes(std::as_writable_bytes(std::span(frame.ranges))));
  for (const sys::AddressRange& range : frame.ranges) {
    if (range.start >= range.end || (range.start | range.end) % kPageBytes != 0) {
      return error(ErrorKind::corrupt, "a frame of pages has an impossible range");
    }
  }
  return frame;
}

}  // namespace

Result<void> PageReceiver::receive_pages(transport::FrameHeader header) {
  PagesFrame frame = TRY(receive_head(connection_, header.length));
  size_t sum = 0;
  for (const sys::AddressRange& range : frame.ranges) {
    if (range.size() > buffer_.size() - sum) return error(ErrorKind::corrupt, "a frame of pages has too many");
    sum += range.size();
  }
  std::span<std::byte> content = std::span(buffer_).first(sum);
  if (header.type == transport::FrameType::packed_pages) {
    TRY(receive_packed(frame.rest, content));
  } else {
    if (sum != frame.rest) return error(ErrorKind::corrupt, "a frame of pages has a wrong length");
    TRY(connection_.receive_bytes(content));
  }
  return put_(frame.pid, frame.ranges, content);
}

// `length`: of what is left of the frame.
Result<void> PageReceiver::receive_packed(size_t length, std::span<std::byte> into) {
  PackedHead how;
  if (length < sizeof how || length - sizeof how > kChunkBytes) {
    return error(ErrorKind::corrupt, "a frame of compressed pages has a wrong length");
  }
  TRY(connection_.receive_bytes(std::as_writable_bytes(std::span(&how, 1))));
  if (packed_.empty()) packed_.resize(kChunkBytes);
  std::span<std::byte> packed = std::span(packed_).first(length - sizeof how);
  TRY(connection_.receive_bytes(packed));
  return compressor_.decompress(static_cast<transport::Codec>(how.codec), packed, into);
}

Result<void> PageReceiver::receive_drop(uint32_t length) { return receive_ranges(length, drop_); }

Result<void> PageReceiver::receive_ranges(uint32_t length, const Drop& told) {
  PagesFrame frame = TRY(receive_head(connection_, length));
  if (frame.rest != 0) return error(ErrorKind::corrupt, "a frame of ranges alone has bytes");
  return told(frame.pid, frame.ranges);
}

Result<void> PageReceiver::receive_object(transport::FrameHeader header) {
  PagesFrame frame = TRY(receive_head(connection_, header.length));
  int fd = TRY(object_(static_cast<uint32_t>(frame.pid)));
  uint64_t size = TRY(sys::file_size(fd));
  size_t sum = 0;
  for (const sys::AddressRange& range : frame.ranges) {
    if (range.start >= size || range.end - kPageBytes >= size) {
      return error(ErrorKind::corrupt, "a shared memory frame reaches behind the end of its object");
    }
    sum += range.size();
  }
  if (header.type == transport::FrameType::shared_memory_holes) {
    if (frame.rest != 0) return error(ErrorKind::corrupt, "a frame of holes has bytes");
    for (const sys::AddressRange& range : frame.ranges) TRY(sys::punch_hole(fd, range.start, range.size()));
    return {};
  }
  if (sum != frame.rest || sum > buffer_.size()) {
    return error(ErrorKind::corrupt, "a shared memory frame has a wrong length");
  }
  std::span<std::byte> bytes = std::span(buffer_).first(sum);
  TRY(connection_.receive_bytes(bytes));
  for (const sys::AddressRange& range : frame.ranges) {
    TRY(sys::write_at(fd, range.start, bytes.first(std::min(range.end, size) - range.start)));
    bytes = bytes.subspan(range.size());
  }
  return {};
}

}  // namespace godwit::address_space
