// StreamsChoice: by how many connections memory travels, from what the last moments showed.
//
// A further one helps where the threads that send are what is slow (they encrypt and compress all the time) and a
// processor is free for one more. It is tried then, and kept while it carries more; the first that does not is given up
// again and nothing more is tried. Pure.
#pragma once

#include <cstdint>

namespace godwit::address_space {

// The most connections of one move, the main one among them.
constexpr uint32_t kMostStreams = 16;

class StreamsChoice {
 public:
  static constexpr uint32_t kMost = 8;

  struct Interval {
    double seconds = 0;
    uint64_t bytes = 0;          // of pages
    double busy_seconds = 0;     // processor time of all sending threads together
    double idle_processors = 0;  // of this node, on average
  };
  // Returns how many there are to be from now on.
  uint32_t after(const Interval& interval);
  uint32_t streams() const { return streams_; }

 private:
  uint32_t streams_ = 1;
  double rate_before_ = 0;  // bytes per second, with one less
  bool begun_ = false;      // the interval in which the last one was added has passed
  bool settled_ = false;
};

}  // namespace godwit::address_space
