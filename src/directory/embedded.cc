#include "directory/embedded.h"

#include <sqlite3.h>

#include <map>

namespace godwit::directory {

namespace {

Error failure(sqlite3* database, const char* what) {
  return error(ErrorKind::failed, std::string("directory: ") + what + ": " + sqlite3_errmsg(database));
}

int64_t now_ms() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

// One use of a prepared statement.
class Statement {
 public:
  Statement(sqlite3* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
  ~Statement() { sqlite3_reset(statement_); }
  Statement(Statement&& other) noexcept
      : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;

  Statement& bind(int index, std::string_view bytes) {
    sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(int index, int64_t number) {
    sqlite3_bind_int64(statement_, index, number);
    return *this;
  }
  // Whether there is a row. A change that tells of itself (RETURNING) is made when there is none any more.
  Result<bool> step() {
    int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return failure(database_, "step");
  }
  std::string bytes(int column) {
    auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return {data == nullptr ? "" : data, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
  }
  int64_t number(int column) { return sqlite3_column_int64(statement_, column); }

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_;
};

}  // namespace

// Compiled once: a frozen program waits for a switchover.
class Embedded::Statements {
 public:
  explicit Statements(sqlite3* database) : database_(database) {}
  ~Statements() {
    for (auto& [text, statement] : prepared_) sqlite3_finalize(statement);
  }
  Statements(const Statements&) = delete;

  Result<Statement> use(const char* text) {
    sqlite3_stmt*& statement = prepared_[text];
    bool ready = statement != nullptr ||
                 sqlite3_prepare_v3(database_, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) == SQLITE_OK;
    if (!ready) return failure(database_, text);
    return Statement(database_, statement);
  }

 private:
  sqlite3* database_;
  std::map<std::string_view, sqlite3_stmt*> prepared_;  // by text, of literals
};

Embedded::Embedded(sqlite3* database) : database_(database), statements_(std::make_unique<Statements>(database)) {}

Result<std::unique_ptr<Embedded>> Embedded::open(const std::string& path) {
  sqlite3* database = nullptr;
  int code = sqlite3_open(path.c_str(), &database);
  std::unique_ptr<Embedded> directory(new Embedded(database));
  if (code != SQLITE_OK) return failure(database, "open");
  constexpr const char* kSetUp =
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
      "CREATE TABLE IF NOT EXISTS entries(key BLOB PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL,"
      " expires_ms INTEGER NOT NULL);"
      "CREATE TABLE IF NOT EXISTS counter(version INTEGER NOT NULL);"
      "INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);";
  if (sqlite3_exec(database, kSetUp, nullptr, nullptr, nullptr) != SQLITE_OK) return failure(database, "set up");
  auto newest = TRY(directory->statements_->use("SELECT version FROM counter"));
  if (!TRY(newest.step())) return error(ErrorKind::corrupt, "the directory has no counter");
  directory->newest_ = directory->forgotten_ = directory->reserved_ = static_cast<uint64_t>(newest.number(0));
  if (path == ":memory:") return directory;
  if (sqlite3_open(path.c_str(), &directory->checkpointer_) != SQLITE_OK) return failure(database, "open");
  directory->thread_ = std::thread([&self = *directory] { self.checkpoint_now_and_then(); });
  return directory;
}

Embedded::~Embedded() {
  {
    std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  statements_.reset();
  sqlite3_close(checkpointer_);
  sqlite3_close(database_);
}

void Embedded::checkpoint_now_and_then() {
  constexpr std::chrono::seconds kPause(10);
  std::unique_lock lock(stop_mutex_);
  while (!stop_changed_.wait_for(lock, kPause, [this] { return stopping_; })) {
    lock.unlock();
    // PASSIVE holds nobody up; what it leaves it finds again.
    (void)sqlite3_wal_checkpoint_v2(checkpointer_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    lock.lock();
  }
}

Result<std::optional<Entry>> Embedded::get(std::string_view key) {
  std::lock_guard lock(mutex_);
  auto query =
      TRY(statements_->use("SELECT value, version FROM entries WHERE key=? AND (expires_ms=0 OR expires_ms>?)"));
  query.bind(1, key).bind(2, now_ms());
  if (!TRY(query.step())) return std::optional<Entry>();
  return std::optional<Entry>(Entry{std::string(key), query.bytes(0), static_cast<uint64_t>(query.number(1))});
}

Result<std::vector<Entry>> Embedded::list(std::string_view prefix) {
  std::lock_guard lock(mutex_);
  auto query =
      TRY(statements_->use("SELECT key, value, version FROM entries WHERE substr(key,1,?)=? AND"
                           " (expires_ms=0 OR expires_ms>?) ORDER BY key"));
  query.bind(1, static_cast<int64_t>(prefix.size())).bind(2, prefix).bind(3, now_ms());
  std::vector<Entry> entries;
  while (TRY(query.step())) {
    entries.push_back({query.bytes(0), query.bytes(1), static_cast<uint64_t>(query.number(2))});
  }
  return entries;
}

Result<uint64_t> Embedded::put(std::string_view key, std::string_view value, Expect expect,
                               std::chrono::milliseconds lease) {
  std::lock_guard lock(mutex_);
  uint64_t version = TRY(next_version());
  TRY(write(key, value, expect, version, lease.count() == 0 ? 0 : now_ms() + lease.count()));
  note_change(key, version);
  return version;
}

// Versions come from one counter, so that a key that was removed and made again is not mistaken for its former self.
// Many are taken at once: a switchover then writes one page, its own.
Result<uint64_t> Embedded::next_version() {
  constexpr uint64_t kAtOnce = 256;
  if (newest_ == reserved_) {
    auto reserve = TRY(statements_->use("UPDATE counter SET version=?"));
    TRY(reserve.bind(1, static_cast<int64_t>(newest_ + kAtOnce)).step());
    if (sqlite3_changes(database_) != 1) return error(ErrorKind::corrupt, "the directory has lost its counter");
    reserved_ = newest_ + kAtOnce;
  }
  return newest_ + 1;
}

void Embedded::note_change(std::string_view key, uint64_t version) {
  constexpr size_t kRemembered = 1024;
  newest_ = version;
  changes_.push_back({std::string(key), version});
  if (changes_.size() > kRemembered) {
    forgotten_ = changes_.front().version;
    changes_.pop_front();
  }
  changed_.notify_all();
}

std::optional<std::chrono::milliseconds> Embedded::next_expiry(std::string_view prefix) {
  auto query = statements_->use("SELECT min(expires_ms) FROM entries WHERE substr(key,1,?)=? AND expires_ms>?");
  int64_t now = now_ms();
  if (!query) return std::nullopt;
  query->bind(1, static_cast<int64_t>(prefix.size())).bind(2, prefix).bind(3, now);
  auto row = query->step();
  if (!row || !*row || query->number(0) == 0) return std::nullopt;
  return std::chrono::milliseconds(query->number(0) - now + 1);
}

Result<uint64_t> Embedded::watch(std::string_view prefix, uint64_t since, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  if (since == 0) return newest_;
  auto news = [&] {
    if (since < forgotten_) return true;
    for (auto change = changes_.rbegin(); change != changes_.rend() && change->version > since; ++change) {
      if (std::string_view(change->key).starts_with(prefix)) return true;
    }
    return false;
  };
  // A lease that runs out is a change, too: nobody writes then, so whoever waits looks.
  auto expiry = next_expiry(prefix);
  changed_.wait_for(lock, expiry ? std::min(patience, *expiry) : patience, news);
  return newest_;
}

Result<void> Embedded::write(std::string_view key, std::string_view value, Expect expect, uint64_t version,
                             int64_t expires) {
  const char* text =
      expect.any ? "INSERT INTO entries VALUES(?1,?2,?3,?4) ON CONFLICT(key) DO UPDATE SET value=?2,"
                   " version=?3, expires_ms=?4 RETURNING version"
      : expect.version == 0
          ? "INSERT INTO entries VALUES(?1,?2,?3,?4) ON CONFLICT(key) DO UPDATE SET value=?2, version=?3,"
            " expires_ms=?4 WHERE expires_ms<>0 AND expires_ms<=?6 RETURNING version"
          : "UPDATE entries SET value=?2, version=?3, expires_ms=?4 WHERE key=?1 AND version=?5"
            " RETURNING version";
  auto write = TRY(statements_->use(text));
  write.bind(1, key).bind(2, value).bind(3, static_cast<int64_t>(version)).bind(4, expires);
  if (!expect.any && expect.version != 0) write.bind(5, static_cast<int64_t>(expect.version));
  if (!expect.any && expect.version == 0) write.bind(6, now_ms());
  if (!TRY(write.step())) {
    return error(ErrorKind::conflict, "the directory's entry " + std::string(key) + " was changed by somebody else");
  }
  TRY(write.step());
  return {};
}

Result<void> Embedded::remove(std::string_view key, Expect expect) {
  std::lock_guard lock(mutex_);
  uint64_t version = TRY(next_version());
  auto write = TRY(statements_->use("DELETE FROM entries WHERE key=? AND (? OR version=?) RETURNING version"));
  write.bind(1, key).bind(2, int64_t{expect.any}).bind(3, static_cast<int64_t>(expect.version));
  bool removed = TRY(write.step());
  if (!removed && !expect.any) return error(ErrorKind::conflict, "the entry was changed by somebody else");
  if (!removed) return {};
  TRY(write.step());
  note_change(key, version);
  return {};
}

}  // namespace godwit::directory
