// The embedded directory: one SQLite database in WAL mode, in the daemon of the cluster's first node.
//
// synchronous=NORMAL: a write never waits for the disk (a switchover must not); after a power failure the newest writes
// may be gone, never half there. One connection under a mutex; a second one, in a thread of its own, carries the log
// over into the database, which does wait for the disk. Source: https://www.sqlite.org/wal.html, section 2.3 and 6
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

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
  Result<uint64_t> watch(std::string_view prefix, uint64_t since, std::chrono::milliseconds patience) override;
  Result<void> remove(std::string_view key, Expect expect) override;

 private:
  class Statements;
  explicit Embedded(sqlite3* database);
  Result<uint64_t> next_version();
  Result<void> write(std::string_view key, std::string_view value, Expect expect, uint64_t version, int64_t expires_ms);
  void checkpoint_now_and_then();

  // Under mutex_: somebody may be waiting for this.
  void note_change(std::string_view key, uint64_t version);
  std::optional<std::chrono::milliseconds> next_expiry(std::string_view prefix);

  struct Change {
    std::string key;
    uint64_t version;
  };
  std::mutex mutex_;
  sqlite3* database_;
  std::unique_ptr<Statements> statements_;  // under mutex_
  std::condition_variable changed_;
  std::deque<Change> changes_;       // under mutex_: the newest
  uint64_t newest_ = 0;              // under mutex_: version of the newest change
  uint64_t reserved_ = 0;            // under mutex_: versions up to here were taken from the counter
  uint64_t forgotten_ = 0;           // under mutex_: changes up to here are not in changes_
  sqlite3* checkpointer_ = nullptr;  // its thread's, once that runs
  std::mutex stop_mutex_;
  std::condition_variable stop_changed_;
  bool stopping_ = false;  // under stop_mutex_
  std::thread thread_;
};

}  // namespace godwit::directory
