// The directory: the cluster's record of nodes, jobs, their locations and epochs, as small values with versions.
//
// Everything that must happen once in a cluster is one compare-and-swap here; a switchover is one. Implementations:
// embedded (SQLite, in the first node's daemon) and, in src/node, remote (asked of that daemon). Thread-safe. Blocking.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::directory {

struct Entry {
  std::string key;
  std::string value;
  uint64_t version = 0;  // grows with every write of the key; never 0
};

// What a write requires of the present entry.
struct Expect {
  // `version` 0: there must be none.
  static Expect exactly(uint64_t version) { return {version, false}; }
  static Expect anything() { return {0, true}; }
  uint64_t version;
  bool any;
};

class Directory {
 public:
  virtual ~Directory() = default;
  virtual Result<std::optional<Entry>> get(std::string_view key) = 0;
  // Entries whose keys begin with `prefix`, by key.
  virtual Result<std::vector<Entry>> list(std::string_view prefix) = 0;
  // Compare-and-swap; returns the new version. With a lease the entry is gone unless it is written again in time.
  // ErrorKind::conflict: the entry was not as expected. ErrorKind::peer_lost: it is not known whether it was written.
  virtual Result<uint64_t> put(std::string_view key, std::string_view value, Expect expect,
                               std::chrono::milliseconds lease = {}) = 0;
  // Waits until an entry whose key begins with `prefix` is written, removed or has run out of its lease, later than
  // `since` (a version), at most `patience`. Returns the version up to which nothing has been missed: `since` for the
  // next call. It may return early and without a change; with 0, of who has seen nothing yet, at once.
  virtual Result<uint64_t> watch(std::string_view prefix, uint64_t since, std::chrono::milliseconds patience) = 0;
  virtual Result<void> remove(std::string_view key, Expect expect) = 0;
};

}  // namespace godwit::directory
