#include "address_space/page_stream.h"

#include <sys/types.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "sys/file.h"
#include "sys/huge_page_pool.h"
#include "sys/scheduling.h"

namespace godwit::address_space {

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
  if (read_) {
    TRY(read_(origin_.owner.number(), ranges, std::span(buffer_).first(wanted)));
    return ranges;
  }
  auto count = sys::read_memory(origin_.here, ranges, std::span(buffer_).first(wanted));
  if (count && *count == wanted) return ranges;
  auto memory = sys::MemoryFile::open(origin_.here);
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
  TRY(send_worthwhile(origin_, ranges, buffer_));
  if (running_) sys::give_way();
  return ask_watch();
}

PageCounts& PageCounts::operator+=(const PageCounts& other) {
  sent += other.sent;
  zero += other.zero;
  compressed_bytes += other.compressed_bytes;
  compressed_to_bytes += other.compressed_to_bytes;
  return *this;
}

// As far as the main connection tells: the others share the link with it.
double PageSender::page_seconds() const {
  uint32_t streams = streams_ == nullptr ? 1 : streams_->streams();
  return chunks_.link_seconds_per_byte() * kPageBytes / streams;
}

bool PageSender::takes_shortcut(const PageOrigin& origin, uint64_t page,
                                std::span<const std::byte, kPageBytes> content) {
  if (shortcuts_ == nullptr) return false;
  bool stays = origin.pages != PageClass::file;
  return shortcuts_->take({{origin.owner, origin.here, page}, stays, content}, running_, page_seconds());
}

PageCounts& PageCounts::operator+=(const CompressedBytes& more) {
  compressed_bytes += more.from;
  compressed_to_bytes += more.to;
  return *this;
}

// Closes up in `bytes` the runs of pages that are worth sending, and sends them.
Result<void> PageSender::send_worthwhile(const PageOrigin& origin, std::span<const sys::AddressRange> ranges,
                                         std::span<std::byte> bytes) {
  std::vector<sys::AddressRange> kept;
  size_t from = 0;
  size_t to = 0;
  for (const sys::AddressRange& range : ranges) {
    for (uint64_t page = range.start; page < range.end; page += kPageBytes, from += kPageBytes) {
      if (origin.over_zeros && all_zero(&bytes[from])) {
        ++counts_.zero;
        append_page(zeros_, page);
        continue;
      }
      if (takes_shortcut(origin, page, bytes.subspan(from).first<kPageBytes>())) continue;
      if (from != to) std::memmove(&bytes[to], &bytes[from], kPageBytes);
      to += kPageBytes;
      append_page(kept, page);
    }
  }
  if (shortcuts_ != nullptr && shortcuts_->refers_to_memory()) TRY(order());  // what it refers to is in place then
  if (shortcuts_ != nullptr) counts_.sent += TRY(shortcuts_->send_gathered(origin.owner, connection_));
  if (kept.empty()) return {};
  counts_.sent += to / kPageBytes;
  return send_pages(origin, kept, bytes.first(to));
}

// Further connections take a process's pages only, which are in the buffer.
Result<void> PageSender::send_pages(const PageOrigin& origin, std::span<const sys::AddressRange> ranges,
                                    std::span<const std::byte> bytes) {
  pid_t number = origin.owner.number();
  bool by_others = streams_ != nullptr && !origin.owner.is_object();
  if (by_others && TRY(streams_->take({number, origin.pages, ranges, bytes.size()}, buffer_))) return {};
  return chunks_.send(number, origin.pages, ranges, bytes);
}

Result<void> send_ranges(transport::Connection& connection, transport::FrameType type, pid_t pid,
                         std::span<const sys::AddressRange> ranges) {
  while (!ranges.empty()) {
    auto part = ranges.first(std::min(ranges.size(), kRangesPerChunk));
    TRY(connection.send(type, encode_head(pid, part)));
    ranges = ranges.subspan(part.size());
  }
  return {};
}

Result<void> PageSender::send_ranges(transport::FrameType type, pid_t pid, std::span<const sys::AddressRange> ranges) {
  TRY(flush());
  if (!ranges.empty()) TRY(order());
  return address_space::send_ranges(connection_, type, pid, ranges);
}

Result<void> PageSender::send_object(uint32_t object, int fd, std::span<const sys::AddressRange> offsets,
                                     std::span<std::byte> bytes) {
  TRY(flush());
  TRY(order());
  TRY(send_worthwhile({PageOwner::object(object), fd, false, PageClass::object}, offsets, bytes));
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

// Two threads that hand each chunk over keep others from the processors of a machine that has but two, for up to a
// tenth of a second; one that does both gives way in between (docs/decisions/0020-giving-way.md).
Result<void> PageReceiver::put_beside() {
  constexpr unsigned kEnough = 3;
  running_ = true;
  if (std::thread::hardware_concurrency() >= kEnough) filler_ = TRY(PageFiller::start(put_, kChunkBytes));
  return {};
}

Result<void> PageReceiver::put_at_once() {
  TRY(settle());
  filler_.reset();
  running_ = false;
  return {};
}

Result<void> PageReceiver::receive_pages(transport::FrameHeader header) {
  if (running_) sys::give_way();
  PagesFrame frame = TRY(receive_head(connection_, header.length));
  std::span<std::byte> room = filler_ ? filler_->room() : std::span(buffer_);
  std::span<std::byte> content = TRY(receive_content(header.type, frame, room));
  if (content.empty()) return {};
  size_t size = content.size();
  return filler_ ? filler_->put(frame.pid, std::move(frame.ranges), size) : put_(frame.pid, frame.ranges, content);
}

// What the frame's ranges hold, at the front of `into`, which has room for a chunk. Of pages that were referred to and
// are not here nothing is left in either.
Result<std::span<std::byte>> PageReceiver::receive_content(transport::FrameType type, PagesFrame& frame,
                                                           std::span<std::byte> into) {
  std::span<std::byte> content = into.first(TRY(bytes_of_pages(frame)));
  if (PresentPages::takes(type)) {
    if (present_ == nullptr) return error(ErrorKind::corrupt, "a reference to pages where there can be none");
    TRY(present_->receive(type, connection_, frame, content, [this] { return settle(); }));
    return content.first(TRY(bytes_of_pages(frame)));
  }
  if (type == transport::FrameType::packed_pages || type == transport::FrameType::shared_memory_packed) {
    TRY(receive_packed(frame.rest, content));
    return content;
  }
  if (content.size() != frame.rest) return error(ErrorKind::corrupt, "a frame of pages has a wrong length");
  TRY(connection_.receive_bytes(content));
  return content;
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
  return address_space::receive_ranges(connection_, length, told);
}

Result<void> receive_ranges(transport::Connection& connection, uint32_t length, const PageReceiver::Drop& told) {
  PagesFrame frame = TRY(receive_head(connection, length));
  if (frame.rest != 0) return error(ErrorKind::corrupt, "a frame of ranges alone has bytes");
  return told(frame.pid, frame.ranges);
}

Result<void> PageReceiver::receive_object(transport::FrameHeader header) {
  PagesFrame frame = TRY(receive_head(connection_, header.length));
  int fd = TRY(object_(static_cast<uint32_t>(frame.pid)));
  if (fd < 0) {  // nothing of it is wanted
    if (frame.rest > buffer_.size()) return error(ErrorKind::corrupt, "a shared memory frame is too long");
    return connection_.receive_bytes(std::span(buffer_).first(frame.rest));
  }
  uint64_t size = TRY(sys::file_size(fd));
  for (const sys::AddressRange& range : frame.ranges) {
    if (range.start >= size || range.end - kPageBytes >= size) {
      return error(ErrorKind::corrupt, "a shared memory frame reaches behind the end of its object");
    }
  }
  if (header.type == transport::FrameType::shared_memory_holes) {
    if (frame.rest != 0) return error(ErrorKind::corrupt, "a frame of holes has bytes");
    for (const sys::AddressRange& range : frame.ranges) TRY(sys::punch_hole(fd, range.start, range.size()));
    return {};
  }
  std::span<std::byte> bytes = TRY(receive_content(header.type, frame, buffer_));
  uint64_t pool = sys::pool_page_bytes(fd);
  for (const sys::AddressRange& range : frame.ranges) {
    auto content = bytes.first(std::min(range.end, size) - range.start);
    TRY(pool == 0 ? sys::write_at(fd, range.start, content) : sys::write_to_pool(fd, pool, range.start, content));
    bytes = bytes.subspan(range.size());
  }
  return {};
}

}  // namespace godwit::address_space
