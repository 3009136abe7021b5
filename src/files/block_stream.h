// The content of one file as frames: blocks that differ from what was sent
// before, then its size and time.
//
// Blocks of kBlockBytes are remembered by a quick hash. Holes are not read and
// not sent. The source's half is send_blocks; what comes is applied by whoever
// owns the file at the destination.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>

#include "base/result.h"
#include "transport/frame.h"

namespace google::protobuf {
class MessageLite;
}

namespace godwit::files {

constexpr size_t kBlockBytes = size_t{128} << 10;

using SendFrame = std::function<Result<void>(transport::FrameType, const google::protobuf::MessageLite&)>;

// What was sent of a file.
struct SentFile {
  bool any = false;
  bool settled = false;  // a later change shows in its times
  uint64_t size = 0;
  int64_t mtime_ns = 0, ctime_ns = 0;
  std::map<uint64_t, uint64_t> blocks;  // offset -> hash
};

// Nothing was written since, except perhaps through mappings.
bool is_unchanged(const SentFile& sent, const struct stat& status);

// `id`: as both sides know the file. Errors: of reading, of `send`.
Result<void> send_blocks(const SendFrame& send, uint32_t id, int fd, SentFile& sent);

}  // namespace godwit::files
