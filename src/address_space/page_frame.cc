#include "address_space/page_frame.h"

#include <cstring>

namespace godwit::address_space {

namespace {

struct PagesHead {
  uint32_t pid;
  uint32_t count;
};

}  // namespace

void append_page(std::vector<sys::AddressRange>& ranges, uint64_t page) {
  if (!ranges.empty() && ranges.back().end == page) {
    ranges.back().end += kPageBytes;
  } else {
    ranges.push_back({page, page + kPageBytes});
  }
}

bool is_of_object(transport::FrameType type) {
  using transport::FrameType;
  switch (type) {
    case FrameType::shared_memory_pages:
    case FrameType::shared_memory_packed:
    case FrameType::shared_memory_holes:
    case FrameType::shared_memory_known:
    case FrameType::shared_memory_delta: return true;
    default: return false;
  }
}

PageOwner PagesFrame::owner(transport::FrameType type) const {
  return is_of_object(type) ? PageOwner::object(static_cast<uint32_t>(pid)) : PageOwner::process(pid);
}

std::vector<std::byte> encode_head(pid_t pid, std::span<const sys::AddressRange> ranges) {
  PagesHead head{static_cast<uint32_t>(pid), static_cast<uint32_t>(ranges.size())};
  std::vector<std::byte> bytes(sizeof head + ranges.size_bytes());
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, ranges.data(), ranges.size_bytes());
  return bytes;
}

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

Result<size_t> bytes_of_pages(const PagesFrame& frame) {
  size_t sum = 0;
  for (const sys::AddressRange& range : frame.ranges) {
    if (range.size() > kChunkBytes - sum) return error(ErrorKind::corrupt, "a frame of pages has too many");
    sum += range.size();
  }
  return sum;
}

}  // namespace godwit::address_space
