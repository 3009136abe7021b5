#include "transport/frame.h"

#include <bit>
#include <cstring>
#include <string>

namespace godwit::transport {

static_assert(std::endian::native == std::endian::little);

std::optional<std::string_view> name_of(FrameType type) {
  switch (type) {
    case FrameType::offer: return "offer";
    case FrameType::offer_answer: return "offer_answer";
    case FrameType::skeleton_ready: return "skeleton_ready";
    case FrameType::inventory: return "inventory";
    case FrameType::inventory_end: return "inventory_end";
    case FrameType::layout: return "layout";
    case FrameType::carried_block: return "carried_block";
    case FrameType::carried_end: return "carried_end";
    case FrameType::log_part: return "log_part";
    case FrameType::final_state: return "final_state";
    case FrameType::pages: return "pages";
    case FrameType::zero_pages: return "zero_pages";
    case FrameType::shared_memory_pages: return "shared_memory_pages";
    case FrameType::memory_end: return "memory_end";
    case FrameType::go: return "go";
    case FrameType::committed: return "committed";
    case FrameType::abort: return "abort";
    case FrameType::progress: return "progress";
    case FrameType::clock_probe: return "clock_probe";
    case FrameType::clock_answer: return "clock_answer";
    case FrameType::carried_request: return "carried_request";
    case FrameType::log_end: return "log_end";
    case FrameType::scratch_entry: return "scratch_entry";
    case FrameType::round_end: return "round_end";
    case FrameType::round_done: return "round_done";
    case FrameType::owed_pages: return "owed_pages";
    case FrameType::page_request: return "page_request";
    case FrameType::all_here: return "all_here";
    case FrameType::packed_pages: return "packed_pages";
    case FrameType::guarded_pages: return "guarded_pages";
    case FrameType::unguarded_pages: return "unguarded_pages";
    case FrameType::shared_memory_holes: return "shared_memory_holes";
    case FrameType::page_digests: return "page digests";
    case FrameType::known_pages: return "known pages";
    case FrameType::delta_pages: return "delta pages";
    case FrameType::stream_barrier: return "stream barrier";
    case FrameType::pages_in_place: return "pages in place";
    case FrameType::freeze_soon: return "freeze_soon";
    case FrameType::hold_packets: return "hold_packets";
    case FrameType::packets_held: return "packets_held";
    case FrameType::lock_step: return "lock_step";
    case FrameType::coming: return "coming";
    case FrameType::ready: return "ready";
    case FrameType::switched_over: return "switched_over";
    case FrameType::closed_connection: return "closed_connection";
    case FrameType::peers_have: return "peers_have";
    case FrameType::shared_memory_packed: return "shared_memory_packed";
    case FrameType::shared_memory_known: return "shared_memory_known";
    case FrameType::shared_memory_delta: return "shared_memory_delta";
  }
  return std::nullopt;
}

uint32_t longest_payload(FrameType type) {
  switch (type) {
    case FrameType::pages:
    case FrameType::packed_pages:
    case FrameType::page_digests:
    case FrameType::known_pages:
    case FrameType::delta_pages:
    case FrameType::zero_pages:
    case FrameType::owed_pages:
    case FrameType::guarded_pages:
    case FrameType::unguarded_pages:
    case FrameType::shared_memory_holes:
    case FrameType::shared_memory_packed:
    case FrameType::shared_memory_known:
    case FrameType::shared_memory_delta:
    case FrameType::shared_memory_pages: return kMaxPagesBytes;
    case FrameType::pages_in_place: return kMaxRangesBytes;
    case FrameType::clock_probe:
    case FrameType::clock_answer:
    case FrameType::page_request:
    case FrameType::all_here:
    case FrameType::coming:
    case FrameType::freeze_soon:
    case FrameType::hold_packets:
    case FrameType::packets_held:
    case FrameType::lock_step:
    case FrameType::ready:
    case FrameType::switched_over:
    case FrameType::stream_barrier:
    case FrameType::round_end:
    case FrameType::round_done: return 64;
    default: return kMaxMessageBytes;
  }
}

void encode_header(FrameHeader header, std::span<std::byte, kFrameHeaderBytes> into) {
  auto type = static_cast<uint32_t>(header.type);
  std::memcpy(into.data(), &type, sizeof type);
  std::memcpy(into.data() + sizeof type, &header.length, sizeof header.length);
}

Result<FrameHeader> decode_header(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  uint32_t type = 0;
  FrameHeader header{};
  std::memcpy(&type, bytes.data(), sizeof type);
  std::memcpy(&header.length, bytes.data() + sizeof type, sizeof header.length);
  header.type = static_cast<FrameType>(type);
  auto name = name_of(header.type);
  if (!name) return error(ErrorKind::corrupt, "a frame of unknown type " + std::to_string(type));
  if (header.length > longest_payload(header.type)) {
    return error(ErrorKind::corrupt,
                 "a frame '" + std::string(*name) + "' claims " + std::to_string(header.length) + " bytes");
  }
  return header;
}

}  // namespace godwit::transport
