#include "files/hash_cache.h"

#include <fcntl.h>
#include <time.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "sys/hash.h"
#include "sys/text_file.h"

namespace godwit::files {

namespace {

struct Record {
  uint64_t device, inode, size;
  int64_t mtime_ns, ctime_ns;
  std::array<char, 32> digest;
  uint64_t check;  // of the bytes before
};
constexpr size_t kLargestStore = sizeof(Record) * 50'000;

uint64_t check_of(const Record& record) {
  return sys::quick_hash(std::as_bytes(std::span(&record, 1)).first(offsetof(Record, check)));
}

}  // namespace

int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

bool changed_just_now(const struct stat& status) {
  constexpr int64_t kTicks = 50'000'000;  // several times the coarsest clock tick (CONFIG_HZ=100)
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now) - std::max(nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)) < kTicks;
}

void HashCache::load() {
  loaded_ = true;
  auto text = sys::read_text(store_);
  if (!text) return;
  bool sound = text->size() % sizeof(Record) == 0 && text->size() <= kLargestStore;
  for (size_t at = 0; sound && at < text->size(); at += sizeof(Record)) {
    Record record;
    std::memcpy(&record, text->data() + at, sizeof record);
    sound = record.check == check_of(record);
    Key key(record.device, record.inode, record.size, record.mtime_ns, record.ctime_ns);
    if (sound) known_[key] = std::string(record.digest.data(), record.digest.size());
  }
  if (!sound) (void)sys::remove_path(store_);  // what was sound stays known to us
}

void HashCache::append(const Key& key, const std::string& digest) const {
  Record record{};
  std::tie(record.device, record.inode, record.size, record.mtime_ns, record.ctime_ns) = key;
  std::memcpy(record.digest.data(), digest.data(), record.digest.size());
  record.check = check_of(record);
  auto store = sys::open_path(store_, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (!store) return;  // it costs time at the next migration, nothing more
  (void)sys::append(store->get(), std::as_bytes(std::span(&record, 1)));
}

Result<std::string> HashCache::sha256(int fd) {
  if (!loaded_ && !store_.empty()) load();
  struct stat status = TRY(sys::status_of(fd));
  Key key(status.st_dev, status.st_ino, static_cast<uint64_t>(status.st_size), nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim));
  auto known = known_.find(key);
  if (known != known_.end()) return known->second;
  bool steady = !changed_just_now(status);
  std::string digest = TRY(sys::sha256_of_file(fd));
  if (steady) {
    known_[key] = digest;
    if (!store_.empty()) append(key, digest);
  }
  return digest;
}

std::string hash_store_of(const worker::JobPlace& place) {
  // STATE/jobs/ID is the job's own; what serves all lies beside it.
  return std::filesystem::path(place.state_directory()).parent_path().parent_path() / "hash-cache";
}

}  // namespace godwit::files
