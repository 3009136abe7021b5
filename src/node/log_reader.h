// Reads the records of a console's log (init/protocol.h, LogRecord) from an offset on. Owns its descriptor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::node {

struct LogPiece {
  uint32_t stream = 0;
  int64_t realtime_ns = 0;
  std::string bytes;
  uint64_t next_offset = 0;
};

class LogReader {
 public:
  static Result<LogReader> open(const std::string& path, uint64_t offset);
  // The next piece of output, if it is there. What was punched out is passed over.
  Result<std::optional<LogPiece>> next();
  uint64_t offset() const { return offset_; }
  Result<uint64_t> length() const;

 private:
  LogReader(UniqueFd fd, uint64_t offset) : fd_(std::move(fd)), offset_(offset) {}
  Result<bool> pass_hole();
  UniqueFd fd_;
  uint64_t offset_;
};

}  // namespace godwit::node
