// The memory that a job left on a node when it went, in a file of the node's: when the job comes back, pages that are
// as they were need not travel.
//
// A file for each job, STATE/page-cache/JOB, root's alone (0600), as long as the job's own pages and memory objects: a
// header of one page, {16 bytes of text, u64 count}, the pages, and the SHA-256 of each. It is written after the
// switchover, beside its name, and renamed when it is whole. Nothing in it is trusted: a page is used only when it has
// the SHA-256 that the source tells, so that a file that is old, torn or tampered with costs time and no more. It goes
// when the job comes back, when the job is seen to have ended, and after a week.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/hash.h"
#include "sys/process_memory.h"

namespace godwit::address_space {

constexpr uint64_t kMostCachedPages = uint64_t{1} << 24;  // 64 GiB

// The file of the job whose own directory that is, STATE/jobs/JOB.
std::string page_cache_of(const std::string& job_state_directory);
// The jobs whose caches are in `directory` and not too old; older ones are removed.
std::vector<std::string> expire_page_caches(const std::string& directory);

// What is not finished leaves nothing behind.
class PageCacheWriter {
 public:
  static Result<PageCacheWriter> create(const std::string& path);
  ~PageCacheWriter();
  PageCacheWriter(PageCacheWriter&&) noexcept = default;
  PageCacheWriter& operator=(PageCacheWriter&&) = delete;
  // Pages of a process that stands still. What cannot be read, and zeros, are left out; what is beyond the bound too.
  Result<void> add(pid_t host_pid, std::span<const sys::AddressRange> ranges);
  // The same of a memory object that nobody writes to.
  Result<void> add_object(int fd);
  Result<void> finish();

 private:
  PageCacheWriter(std::string path, UniqueFd fd);
  using Read = std::function<Result<void>(uint64_t at, std::span<std::byte> into)>;
  Result<void> add_range(sys::AddressRange range, const Read& read);
  Result<void> add_piece(sys::AddressRange piece, const Read& read);

  std::string path_;
  UniqueFd fd_;
  std::vector<std::byte> buffer_;
  std::vector<sys::Sha256> digests_;
};

class PageCache {
 public:
  // Errors: gone; corrupt when it does not look like one.
  static Result<PageCache> open(const std::string& path);
  // The first eight bytes of each page's SHA-256, in order.
  Result<std::vector<uint64_t>> beginnings() const;
  // Requires: a page's worth of room. Errors: corrupt when there is no such page.
  Result<void> read(uint64_t number, std::span<std::byte> into) const;

 private:
  PageCache(UniqueFd fd, uint64_t count) : fd_(std::move(fd)), count_(count) {}
  UniqueFd fd_;
  uint64_t count_;
};

}  // namespace godwit::address_space
