// The mirror of what post-copy leaves behind: a file at the source with every page that the destination is owed at the
// switchover, whole on disk before it. Should the source's worker, its daemon or the node itself die while memory is
// still on its way, another worker serves the rest from there (migration/mirrored_push.h).
//
// One file for each migration, STATE/mirrors/MIGRATION, root's alone (0600): a header, the order that the source had
// (serialized worker.SourceOrder, with the migration's token), the ranges, and from the next page on their bytes. It is
// written beside its name and named when it is whole.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "address_space/range_set.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/process_memory.h"

namespace godwit::address_space {

// Whole or not, as far as it is there.
void remove_mirror(const std::string& path);

// What is not kept leaves nothing behind. One thread only.
class MirrorWriter {
 public:
  // While the program runs. Errors: exhausted when the disk has not as much room as `most_bytes`.
  static Result<MirrorWriter> create(const std::string& path, uint64_t most_bytes);
  ~MirrorWriter();
  MirrorWriter(MirrorWriter&&) noexcept = default;
  MirrorWriter& operator=(MirrorWriter&&) = delete;

  struct Part {
    pid_t host_pid;  // whose memory it is
    pid_t pid;       // in the job
    const RangeSet* pages;
  };
  // Of processes that stand still. Returns when all of it is on disk.
  Result<void> write(const std::string& order, std::span<const Part> parts);
  uint64_t pages() const { return pages_; }
  // What was written stays, for who comes after us.
  void keep() {
    if (pages_ > 0) fd_.reset();
  }

 private:
  MirrorWriter(std::string path, UniqueFd fd);
  Result<void> copy(pid_t host_pid, const RangeSet& pages, uint64_t& at);

  std::string path_;
  UniqueFd fd_;  // none: kept
  std::vector<std::byte> buffer_;
  uint64_t pages_ = 0;
};

class Mirror {
 public:
  // Errors: gone; corrupt when it is not one, or not whole.
  static Result<Mirror> open(const std::string& path);
  const std::string& order() const { return order_; }
  const std::map<pid_t, RangeSet>& pages() const { return pages_; }
  // The ranges' bytes, one after the other. Errors: corrupt when the mirror has not all of them.
  Result<void> read(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<std::byte> into) const;

 private:
  struct Place {
    uint64_t end;     // of the range, address
    uint64_t offset;  // in the file, of its beginning
  };
  UniqueFd fd_;
  std::string order_;
  std::map<pid_t, RangeSet> pages_;
  std::map<std::pair<pid_t, uint64_t>, Place> places_;  // by process and beginning
};

}  // namespace godwit::address_space
