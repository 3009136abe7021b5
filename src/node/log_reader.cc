#include "node/log_reader.h"

#include <fcntl.h>

#include "init/protocol.h"
#include "sys/byte_stream.h"
#include "sys/file.h"

namespace godwit::node {

Result<LogReader> LogReader::open(const std::string& path, uint64_t offset) {
  return LogReader(TRY(sys::open_file(path, O_RDONLY | O_CLOEXEC)), offset);
}

Result<uint64_t> LogReader::length() const { return sys::file_size(fd_.get()); }

// A record never begins with zero, so zeros are what was punched out. False: no record behind them yet.
Result<bool> LogReader::pass_hole() {
  auto extent = TRY(sys::next_data(fd_.get(), offset_));
  if (!extent) return false;
  offset_ = std::max(offset_, extent->start);
  char bytes[4096];
  for (;;) {
    size_t count = TRY(sys::try_read_at(fd_.get(), offset_, std::as_writable_bytes(std::span(bytes))));
    if (count == 0) return false;
    size_t zeros = 0;
    while (zeros < count && bytes[zeros] == 0) ++zeros;
    offset_ += zeros;
    if (zeros < count) return true;
  }
}

Result<std::optional<LogPiece>> LogReader::next() {
  init::LogRecord record;
  auto head = std::as_writable_bytes(std::span(&record, 1));
  size_t count = TRY(sys::try_read_at(fd_.get(), offset_, head));
  if (count == sizeof record && record.stream == 0) {
    if (!TRY(pass_hole())) return std::optional<LogPiece>();
    count = TRY(sys::try_read_at(fd_.get(), offset_, head));
  }
  if (count < sizeof record) return std::optional<LogPiece>();
  constexpr uint32_t kLongest = 1u << 20;
  if (record.length > kLongest) return error(ErrorKind::corrupt, "the log of this console is damaged");
  LogPiece piece{record.stream, record.realtime_ns, std::string(record.length, '\0'), 0};
  auto body = std::as_writable_bytes(std::span(piece.bytes));
  if (TRY(sys::try_read_at(fd_.get(), offset_ + sizeof record, body)) < record.length) return std::optional<LogPiece>();
  offset_ += sizeof record + record.length;
  piece.next_offset = offset_;
  return std::optional<LogPiece>(std::move(piece));
}

}  // namespace godwit::node
