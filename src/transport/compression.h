// Compression of one piece of content at a time, by LZ4 or Zstandard. Stateless: a piece is decompressed by itself.
//
// What is decompressed came from a peer: nothing is written beyond the space given, which must be filled exactly.
// Sources: lz4.h (LZ4_compress_default, LZ4_decompress_safe), zstd.h (ZSTD_compress2, ZSTD_decompress).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"

namespace godwit::transport {

// As on the wire; never renumbered.
enum class Codec : uint32_t { none = 0, lz4 = 1, zstd = 2 };

class Compressor {
 public:
  Compressor();
  ~Compressor();
  // Returns the bytes written; 0 when they do not fit into `into`. Requires: a codec other than none.
  size_t compress(Codec codec, std::span<const std::byte> from, std::span<std::byte> into);
  // Ensures: all of `into` is written. Errors: corrupt.
  Result<void> decompress(Codec codec, std::span<const std::byte> from, std::span<std::byte> into);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;  // made when first needed
};

}  // namespace godwit::transport
