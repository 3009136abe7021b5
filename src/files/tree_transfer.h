// A directory of the job's own that travels whole, files that are closed too:
// its $TMPDIR, and its /dev/shm.
//
// The source watches the directories while the program runs: when nothing
// changed, the freeze costs one read(2) of the watch and no walk. Neither side
// follows a link or leaves the directory, whatever the program or the peer does
// meanwhile. Source: inotify(7), openat2(2).
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "files/block_stream.h"
#include "files/owner_rights.h"
#include "godwit/wire.pb.h"
#include "sys/change_watch.h"

namespace godwit::files {

constexpr uint32_t kFirstTreeId = 1u << 30;  // image.File ids are below

class TreeSender {
 public:
  // `directory`: as this process sees it. Ids of its files begin at `first_id`.
  TreeSender(std::string directory, bool shared_memory, uint32_t first_id)
      : directory_(std::move(directory)), shared_memory_(shared_memory), next_id_(first_id) {}
  // Whether a file travels otherwise, by device and inode.
  using Elsewhere = std::function<bool(uint64_t, uint64_t)>;
  // What changed since the last time; the first time all of it. A directory
  // that is not there has nothing.
  Result<void> send(const SendFrame& send, const Elsewhere& elsewhere);

 private:
  // False: it did not come to its end.
  Result<bool> walk(const SendFrame& send, const Elsewhere& elsewhere, std::set<std::string>& present);
  Result<void> send_entry(const SendFrame& send, const Elsewhere& elsewhere, const std::string& name);

  std::string directory_;
  bool shared_memory_;
  uint32_t next_id_;
  UniqueFd root_;
  sys::ChangeWatch watch_;
  bool whole_ = false;  // the last walk
  struct Known {
    uint32_t id = 0;
    uint32_t mode = 0;
    SentFile content;
  };
  std::map<std::string, Known> known_;  // by path below the directory
};

class TreeReceiver {
 public:
  // `root`: the directory, open for reading; what an earlier attempt left in it
  // is removed by the caller.
  TreeReceiver(UniqueFd root, Owner owner) : root_(std::move(root)), owner_(std::move(owner)) {}
  // Errors: corrupt for names that lead elsewhere.
  Result<void> take(const wire::ScratchEntry& entry);
  // Content is for the file whose entry came last. False: it is of another
  // tree.
  bool owns(uint32_t id) const { return id == current_id_ && current_.valid(); }
  Result<void> write(const wire::CarriedBlock& block);
  Result<void> finish(const wire::CarriedEnd& end);

 private:
  Result<UniqueFd> open_regular(int parent, const std::string& name);
  Result<void> give(int fd, const wire::ScratchEntry& entry);

  UniqueFd root_;
  Owner owner_;
  UniqueFd current_;
  uint32_t current_id_ = 0;
};

}  // namespace godwit::files
