// The embedded directory: one SQLite database in WAL mode, in the daemon of the cluster's first node.
//
// synchronous=NORMAL: a write never waits for the disk (a switchover must not); after a power failure the newest writes may be
// gone, never half there. One connection under a mutex. Source: https://www.sqlite.org/pragma.html#pragma_synchronous
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "directory/directory.h"

struct sqlite3;

namespace godwit::directory {

class Embedded : public Directory {
 public:
  // ":memory:" keeps nothing.
  static Result<std::unique_ptr<Embedded>> open(const std::string& path);
  ~Embedded() override;

  Result<std::optional<Entry>> get(std::string_view key) override;
  Result<std::vector<Entry>> list(std::string_view prefix) override;
  Result<uint64_t> put(std::string_view key, std::string_view value, Expect expect,
                       std::chrono::milliseconds lease) override;
  Result<void> remove(std::string_view key, Expect expect) override;

 private:
  explicit Embedded(sqlite3* database) : database_(database) {}
  std::mutex mutex_;
  sqlite3* database_;
};

}  // namespace godwit::directory
