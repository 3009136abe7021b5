#include "files/block_stream.h"

#include <vector>

#include "files/hash_cache.h"
#include "godwit/wire.pb.h"
#include "sys/file.h"
#include "sys/hash.h"

namespace godwit::files {

using transport::FrameType;

bool is_unchanged(const SentFile& sent, const struct stat& status) {
  return sent.any && sent.settled && sent.size == static_cast<uint64_t>(status.st_size) &&
         sent.mtime_ns == nanoseconds(status.st_mtim) && sent.ctime_ns == nanoseconds(status.st_ctim);
}

Result<void> send_blocks(const SendFrame& send, uint32_t id, int fd, SentFile& sent) {
  struct stat status = TRY(sys::status_of(fd));
  sent.any = true;
  sent.settled = !changed_just_now(status);
  sent.size = static_cast<uint64_t>(status.st_size);
  sent.mtime_ns = nanoseconds(status.st_mtim);
  sent.ctime_ns = nanoseconds(status.st_ctim);
  sent.blocks.erase(sent.blocks.lower_bound(sent.size),
                    sent.blocks.end());  // cut off at the other side by CarriedEnd
  std::vector<std::byte> buffer(kBlockBytes);
  std::optional<sys::Extent> data;  // the last stretch of data found
  bool data_ends = false;
  for (uint64_t offset = 0; offset < sent.size; offset += kBlockBytes) {
    bool need = !data_ends && (!data || data->end <= offset);
    if (need) data = TRY(sys::next_data(fd, offset));
    if (need && !data) data_ends = true;
    bool hole = data_ends || data->start >= offset + kBlockBytes;
    auto known = sent.blocks.find(offset);
    if (hole && known == sent.blocks.end()) {
      auto next_known = sent.blocks.upper_bound(offset);
      uint64_t next = next_known == sent.blocks.end() ? sent.size : next_known->first;
      if (!data_ends) next = std::min(next, data->start);
      offset = next / kBlockBytes * kBlockBytes;
      if (next < sent.size) offset -= kBlockBytes;  // the loop goes on at it
      continue;
    }
    auto block = std::span(buffer).first(std::min<uint64_t>(kBlockBytes, sent.size - offset));
    TRY(sys::read_at(fd, offset, block));
    uint64_t hash = sys::quick_hash(block);
    if (known != sent.blocks.end() && known->second == hash) continue;
    sent.blocks[offset] = hash;
    wire::CarriedBlock message;
    message.set_file(id);
    message.set_offset(offset);
    message.set_data(block.data(), block.size());
    TRY(send(FrameType::carried_block, message));
  }
  wire::CarriedEnd end;
  end.set_file(id);
  end.set_size(sent.size);
  end.set_mtime_ns(sent.mtime_ns);
  return send(FrameType::carried_end, end);
}

}  // namespace godwit::files
