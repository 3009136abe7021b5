// PresentPages: pages that come as a reference to content that is here already, or as the difference from what is here.
//
// The receiving side of page_shortcuts.h. Everything comes from a peer: a reference is followed into the job's own
// processes, memory objects and cache only, and what is found counts only with the right SHA-256. One thread only;
// whoever puts pages beside it must have settled before memory is read.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "address_space/page_cache.h"
#include "address_space/page_frame.h"
#include "address_space/page_reference.h"
#include "base/result.h"
#include "transport/compression.h"
#include "transport/connection.h"

namespace godwit::address_space {

class PresentPages {
 public:
  // Reads what a process or a memory object has now. Errors: whatever; then it is not there.
  using ReadMemory = std::function<Result<void>(PageOwner, uint64_t at, std::span<std::byte>)>;
  using Settle = std::function<Result<void>()>;
  PresentPages(ReadMemory read, std::optional<PageCache> cache) : read_(std::move(read)), cache_(std::move(cache)) {}

  // Of references; or, from a destination, of pages that it lacks.
  static bool is_of_known(transport::FrameType type) {
    return type == transport::FrameType::known_pages || type == transport::FrameType::shared_memory_known;
  }
  static bool takes(transport::FrameType type) {
    return is_of_known(type) || type == transport::FrameType::delta_pages ||
           type == transport::FrameType::shared_memory_delta;
  }
  // The rest of a frame whose head was received: the content, one page behind the other, from the beginning of `into`,
  // of the ranges that `frame` then has. Requires: room for all of the frame's pages. `settle`: see above.
  // Errors: corrupt; of a difference also when what is here is not what it was made from.
  Result<void> receive(transport::FrameType type, transport::Connection& connection, PagesFrame& frame,
                       std::span<std::byte> into, const Settle& settle);
  // Tells the source which pages were not here as it believed, since the last time.
  Result<void> tell_lacking(transport::Connection& connection);
  bool lacks() const { return !lacking_.empty(); }

 private:
  Result<void> receive_known(PageOwner owner, transport::Connection& connection, PagesFrame& frame,
                             std::span<std::byte> into, const Settle& settle);
  Result<void> receive_differences(PageOwner owner, transport::Connection& connection, const PagesFrame& frame,
                                   std::span<std::byte> into, const Settle& settle);
  bool find(const PageReference& reference, std::span<std::byte> page) const;

  ReadMemory read_;
  std::optional<PageCache> cache_;
  std::map<PageOwner, std::vector<sys::AddressRange>> lacking_;
  std::vector<std::byte> differences_;
  std::vector<std::byte> packed_;
  transport::Compressor compressor_;
};

}  // namespace godwit::address_space
