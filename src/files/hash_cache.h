// Hashes of file contents, remembered on disk: a second migration of the same
// program reads nothing again.
//
// A file is known by device, inode, size and both times; one that changed
// within the clock's last ticks is not remembered. The store is a file of fixed
// records that workers append to, one write each, and start anew when it has
// grown too large or makes no sense. Losing it costs time only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "base/result.h"
#include "godwit/worker.pb.h"
#include "sys/file.h"

namespace godwit::files {

class HashCache {
 public:
  HashCache() = default;  // remembers for its own life
  explicit HashCache(std::string store) : store_(std::move(store)) {}
  // SHA-256 of the content. Requires: readable, a regular file.
  Result<std::string> sha256(int fd);

 private:
  using Key = std::tuple<uint64_t, uint64_t, uint64_t, int64_t,
                         int64_t>;  // device, inode, size, mtime, ctime
  void load();
  void append(const Key& key, const std::string& digest) const;

  std::string store_;
  bool loaded_ = false;
  std::map<Key, std::string> known_;
};

// The store of the daemon whose jobs live at `place`.
std::string hash_store_of(const worker::JobPlace& place);

int64_t nanoseconds(const timespec& time);
// The file may change again without its times telling: it was changed just now.
bool changed_just_now(const struct stat& status);

}  // namespace godwit::files
