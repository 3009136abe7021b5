#include "address_space/compression_choice.h"

#include <algorithm>

namespace godwit::address_space {

namespace {

constexpr double kFastestCompressor = 400e6;  // bytes per second
constexpr double kMemoryBytes = 16 << 20;     // of the last so many bytes a rate is made
constexpr uint64_t kTryEvery = 32;            // pieces
constexpr double kWorthwhile = 0.9;           // of the time without

constexpr size_t index_of(transport::Codec codec) { return static_cast<size_t>(codec) - 1; }

}  // namespace

void CompressionChoice::Rate::add(double more_bytes, double more_seconds) {
  if (bytes > kMemoryBytes) {
    bytes /= 2;
    seconds /= 2;
  }
  bytes += more_bytes;
  seconds += more_seconds;
}

double CompressionChoice::seconds_per_byte(const Codec& codec) const {
  double link = link_.seconds / link_.bytes;
  return codec.speed.seconds / codec.speed.bytes + codec.packed / codec.speed.bytes * link;
}

transport::Codec CompressionChoice::next(PageClass pages) {
  bool slow_link = link_.bytes > 0 && link_.bytes < kFastestCompressor * link_.seconds;
  if (!slow_link) return transport::Codec::none;
  Class& known = classes_[static_cast<size_t>(pages)];
  uint64_t turn = known.pieces++ % kTryEvery;
  if (turn == 0) return transport::Codec::lz4;
  if (turn == 1) return transport::Codec::zstd;
  auto best = transport::Codec::none;
  double least = kWorthwhile * link_.seconds / link_.bytes;
  for (transport::Codec codec : {transport::Codec::lz4, transport::Codec::zstd}) {
    const Codec& measured = known.codecs[index_of(codec)];
    if (measured.speed.bytes > 0 && seconds_per_byte(measured) < least) {
      least = seconds_per_byte(measured);
      best = codec;
    }
  }
  return best;
}

void CompressionChoice::compressed(PageClass pages, transport::Codec codec, uint64_t bytes, uint64_t packed_bytes,
                                   std::chrono::nanoseconds took) {
  Codec& measured = classes_[static_cast<size_t>(pages)].codecs[index_of(codec)];
  if (measured.speed.bytes > kMemoryBytes) measured.packed /= 2;
  measured.speed.add(static_cast<double>(bytes), std::chrono::duration<double>(took).count());
  measured.packed += static_cast<double>(packed_bytes);
}

void CompressionChoice::sent(uint64_t bytes, std::chrono::nanoseconds took) {
  link_.add(static_cast<double>(bytes), std::chrono::duration<double>(took).count());
}

}  // namespace godwit::address_space
