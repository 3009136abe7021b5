#include "transport/compression.h"

#include <lz4.h>
#include <zstd.h>

namespace godwit::transport {

namespace {

constexpr int kZstdLevel = 1;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

char* chars(std::span<std::byte> bytes) { return reinterpret_cast<char*>(bytes.data()); }
const char* chars(std::span<const std::byte> bytes) { return reinterpret_cast<const char*>(bytes.data()); }

}  // namespace

struct Compressor::Contexts {
  std::unique_ptr<ZSTD_CCtx, FreeContext> compress;
  std::unique_ptr<ZSTD_DCtx, FreeContext> decompress;
};

Compressor::Compressor() : contexts_(std::make_unique<Contexts>()) {}
Compressor::~Compressor() = default;

size_t Compressor::compress(Codec codec, std::span<const std::byte> from, std::span<std::byte> into) {
  if (codec == Codec::lz4) {
    int written =
        LZ4_compress_default(chars(from), chars(into), static_cast<int>(from.size()), static_cast<int>(into.size()));
    return written > 0 ? static_cast<size_t>(written) : 0;
  }
  if (!contexts_->compress) contexts_->compress.reset(ZSTD_createCCtx());
  size_t written =
      ZSTD_compressCCtx(contexts_->compress.get(), into.data(), into.size(), from.data(), from.size(), kZstdLevel);
  return ZSTD_isError(written) != 0 ? 0 : written;
}

Result<void> Compressor::decompress(Codec codec, std::span<const std::byte> from, std::span<std::byte> into) {
  size_t written = 0;
  if (codec == Codec::lz4) {
    int got =
        LZ4_decompress_safe(chars(from), chars(into), static_cast<int>(from.size()), static_cast<int>(into.size()));
    written = got < 0 ? 0 : static_cast<size_t>(got);
  } else if (codec == Codec::zstd) {
    if (!contexts_->decompress) contexts_->decompress.reset(ZSTD_createDCtx());
    size_t got = ZSTD_decompressDCtx(contexts_->decompress.get(), into.data(), into.size(), from.data(), from.size());
    written = ZSTD_isError(got) != 0 ? 0 : got;
  }
  if (into.empty() || written != into.size())
    return error(ErrorKind::corrupt, "compressed content that does not unpack");
  return {};
}

}  // namespace godwit::transport
