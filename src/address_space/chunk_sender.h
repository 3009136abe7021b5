// ChunkSender: chunks of pages over one connection, each compressed where it arrives sooner so. One thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "address_space/compression_choice.h"
#include "address_space/page_frame.h"
#include "base/result.h"
#include "transport/connection.h"

namespace godwit::address_space {

struct CompressedBytes {
  uint64_t from = 0, to = 0;
};

class ChunkSender {
 public:
  explicit ChunkSender(transport::Connection& connection) : connection_(connection) {}

  // One frame. `bytes`: those of the ranges, one after the other; at most kChunkBytes.
  Result<void> send(pid_t pid, PageClass pages, std::span<const sys::AddressRange> ranges,
                    std::span<const std::byte> bytes);
  // What was sent compressed so far.
  const CompressedBytes& compressed() const { return compressed_; }
  // That the connection took of late; 0: not known yet.
  double link_seconds_per_byte() const { return choice_.link_seconds_per_byte(); }

 private:
  size_t pack(PageClass pages, transport::Codec codec, std::span<const std::byte> bytes);

  transport::Connection& connection_;
  CompressionChoice choice_;
  transport::Compressor compressor_;
  std::vector<std::byte> packed_;
  CompressedBytes compressed_;
};

}  // namespace godwit::address_space
