// Frames: what travels between the two workers of a migration.
//
// A frame is {u32 type, u32 length}, little-endian, and then `length` bytes: a message of proto/godwit/wire.proto or
// raw bytes. Each type has its bound, checked before anything is allocated. Types are never renumbered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace godwit::transport {

enum class FrameType : uint32_t {
  offer = 1,
  offer_answer = 2,
  skeleton_ready = 3,
  inventory = 4,
  inventory_end = 5,
  layout = 6,
  carried_block = 7,
  carried_end = 8,
  log_part = 9,
  final_state = 10,
  pages = 11,
  zero_pages = 12,
  shared_memory_pages = 13,
  memory_end = 14,
  go = 16,
  committed = 17,
  abort = 18,
  progress = 19,
  clock_probe = 20,
  clock_answer = 21,
  carried_request = 22,
  log_end = 23,
  scratch_entry = 24,
  round_end = 25,
  round_done = 26,
  owed_pages = 27,
  page_request = 28,
  all_here = 29,
  packed_pages = 30,
  guarded_pages = 31,
  unguarded_pages = 32,
  shared_memory_holes = 33,
  page_digests = 34,
  known_pages = 35,
  delta_pages = 36,
  stream_barrier = 37,
  pages_in_place = 38,
  freeze_soon = 39,
  hold_packets = 40,
  packets_held = 41,
  lock_step = 42,
  coming = 43,
  ready = 44,
  switched_over = 45,
  closed_connection = 46,
  peers_have = 47,
  shared_memory_packed = 48,
  shared_memory_known = 49,
  shared_memory_delta = 50,
};

constexpr uint32_t kMaxMessageBytes = 64u << 20;
// 1 MiB of pages and the list of ranges they belong to.
constexpr uint32_t kMaxPagesBytes = (1u << 20) + (64u << 10);
constexpr uint32_t kMaxRangesBytes = 16u << 10;  // ranges alone, sent by a node that fills an address space
constexpr size_t kFrameHeaderBytes = 8;

struct FrameHeader {
  FrameType type;
  uint32_t length;  // of the payload, bytes
};

// The payload belongs to the connection and is gone with its next receive.
struct Frame {
  FrameType type;
  std::span<const std::byte> payload;
};

// The type's name, or nothing when there is no such type.
std::optional<std::string_view> name_of(FrameType type);
// The longest payload a frame of this type may have.
uint32_t longest_payload(FrameType type);

void encode_header(FrameHeader header, std::span<std::byte, kFrameHeaderBytes> into);
// Errors: corrupt for an unknown type or a length beyond its bound.
Result<FrameHeader> decode_header(std::span<const std::byte, kFrameHeaderBytes> bytes);

}  // namespace godwit::transport
