// How far a console's output has been shown, so that after a broken connection it goes on with nothing lost or doubled.
//
// Offsets are those of the job's log: they only grow, and stay the same on whatever node the job is.
#pragma once

#include <cstdint>
#include <optional>

namespace godwit::cli {

class OutputPosition {
 public:
  // A piece of output came that ends at `next_offset` (0: the daemon did not say). True if it has not been shown yet.
  bool advance(uint64_t next_offset) {
    if (next_offset == 0) return true;
    if (next_ && next_offset <= *next_) return false;
    next_ = next_offset;
    return true;
  }
  // Where to go on; nothing before any output came.
  std::optional<uint64_t> next() const { return next_; }

 private:
  std::optional<uint64_t> next_;
};

}  // namespace godwit::cli
