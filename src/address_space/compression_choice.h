// CompressionChoice: by which codec, if any, the next piece of pages crosses soonest, from what the last ones showed.
//
// One thread compresses and then sends, so a byte takes 1 / (compressor's speed) + ratio / (link's speed) seconds; the
// codec with the least is taken, for each class of pages apart. Now and then another one is tried, but only when the
// link has shown itself slower than any compressor: on a fast link nothing is ever compressed. Pure.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "transport/compression.h"

namespace godwit::address_space {

enum class PageClass : uint8_t { anonymous, file, object };  // object: of a memory object

class CompressionChoice {
 public:
  transport::Codec next(PageClass pages);
  // What compressing showed; `packed_bytes`: as many as went in when it did not shrink.
  void compressed(PageClass pages, transport::Codec codec, uint64_t bytes, uint64_t packed_bytes,
                  std::chrono::nanoseconds took);
  // How long the connection was busy with what was sent.
  void sent(uint64_t bytes, std::chrono::nanoseconds took);
  // Of what was sent last; 0: not known yet.
  double link_seconds_per_byte() const { return link_.bytes > 0 ? link_.seconds / link_.bytes : 0; }

 private:
  struct Rate {
    double bytes = 0;
    double seconds = 0;
    void add(double more_bytes, double more_seconds);
  };
  struct Codec {
    Rate speed;
    double packed = 0;  // bytes, of speed.bytes
  };
  struct Class {
    std::array<Codec, 2> codecs;  // lz4, zstd
    uint64_t pieces = 0;
  };
  double seconds_per_byte(const Codec& codec) const;

  Rate link_;
  std::array<Class, 3> classes_;
};

}  // namespace godwit::address_space
