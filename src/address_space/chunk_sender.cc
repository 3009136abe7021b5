#include "address_space/chunk_sender.h"

#include <chrono>

namespace godwit::address_space {

using transport::FrameType;

Result<void> ChunkSender::send(pid_t pid, PageClass pages, std::span<const sys::AddressRange> ranges,
                               std::span<const std::byte> bytes) {
  std::vector<std::byte> head = encode_head(pid, ranges);
  bool of_object = pages == PageClass::object;
  auto type = of_object ? FrameType::shared_memory_pages : FrameType::pages;
  transport::Codec codec = choice_.next(pages);
  size_t packed = codec == transport::Codec::none ? 0 : pack(pages, codec, bytes);
  if (packed > 0) {
    compressed_.from += bytes.size();
    compressed_.to += packed;
    type = of_object ? FrameType::shared_memory_packed : FrameType::packed_pages;
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
size_t ChunkSender::pack(PageClass pages, transport::Codec codec, std::span<const std::byte> bytes) {
  if (packed_.empty()) packed_.resize(kChunkBytes);
  auto begin = std::chrono::steady_clock::now();
  size_t packed = compressor_.compress(codec, bytes, std::span(packed_).first(bytes.size() - 1));
  choice_.compressed(pages, codec, bytes.size(), packed == 0 ? bytes.size() : packed,
                     std::chrono::steady_clock::now() - begin);
  return packed;
}

}  // namespace godwit::address_space
