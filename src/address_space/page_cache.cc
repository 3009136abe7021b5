#include "address_space/page_cache.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "address_space/page_stream.h"
#include "sys/durable_file.h"
#include "sys/file.h"

namespace godwit::address_space {

namespace {

constexpr std::chrono::hours kKeep(7 * 24);

struct Header {
  std::array<char, 16> text;
  uint64_t count;
};
constexpr std::array<char, 16> kText{'g', 'o', 'd', 'w', 'i', 't', ' ', 'p', 'a', 'g', 'e', 's', ' ', '1', '\n', 0};

constexpr uint64_t place_of(uint64_t number) { return (number + 1) * kPageBytes; }

}  // namespace

std::string page_cache_of(const std::string& job_state_directory) {
  std::filesystem::path own(job_state_directory);
  return own.parent_path().parent_path() / "page-cache" / own.filename();
}

std::vector<std::string> expire_page_caches(const std::string& directory) {
  std::vector<std::string> jobs;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    auto age = std::filesystem::file_time_type::clock::now() - entry.last_write_time(failed);
    if (age > kKeep) {
      std::filesystem::remove(entry.path(), failed);
    } else if (entry.path().extension() != sys::kUnfinished) {
      jobs.push_back(entry.path().filename());
    }
  }
  return jobs;
}

PageCacheWriter::PageCacheWriter(std::string path, UniqueFd fd)
    : path_(std::move(path)), fd_(std::move(fd)), buffer_(kChunkBytes) {}

Result<PageCacheWriter> PageCacheWriter::create(const std::string& path) {
  return PageCacheWriter(path, TRY(sys::begin_file(path)));
}

PageCacheWriter::~PageCacheWriter() {
  if (fd_.valid()) (void)sys::remove_path(path_ + sys::kUnfinished);
}

Result<void> PageCacheWriter::add(pid_t host_pid, std::span<const sys::AddressRange> ranges) {
  for (const sys::AddressRange& range : ranges) {
    TRY(add_range(range, [&](uint64_t at, auto into) { return sys::read_memory_at(host_pid, at, into); }));
  }
  return {};
}

Result<void> PageCacheWriter::add_object(int fd) {
  uint64_t at = 0;
  while (auto data = TRY(sys::next_data(fd, at))) {
    sys::AddressRange range{data->start / kPageBytes * kPageBytes, data->end};
    if (range.size() % kPageBytes != 0) range.end += kPageBytes - range.size() % kPageBytes;
    TRY(add_range(range, [&](uint64_t from, auto into) { return sys::read_at(fd, from, into); }));
    at = range.end;
  }
  return {};
}

Result<void> PageCacheWriter::add_range(sys::AddressRange range, const Read& read) {
  for (uint64_t at = range.start; at < range.end; at += kChunkBytes) {
    TRY(add_piece({at, std::min(range.end, at + kChunkBytes)}, read));
  }
  return {};
}

Result<void> PageCacheWriter::add_piece(sys::AddressRange piece, const Read& read) {
  std::span<std::byte> bytes = std::span(buffer_).first(piece.size());
  if (!read(piece.start, bytes)) return {};
  uint64_t first = digests_.size();
  size_t kept = 0;
  for (size_t from = 0; from < bytes.size() && digests_.size() < kMostCachedPages; from += kPageBytes) {
    if (all_zero(&bytes[from])) continue;
    if (from != kept) std::memmove(&bytes[kept], &bytes[from], kPageBytes);
    digests_.push_back(sys::sha256_digest(bytes.subspan(kept, kPageBytes)));
    kept += kPageBytes;
  }
  return sys::write_at(fd_.get(), place_of(first), bytes.first(kept));
}

Result<void> PageCacheWriter::finish() {
  TRY(sys::write_at(fd_.get(), place_of(digests_.size()), std::as_bytes(std::span(digests_))));
  Header header{kText, digests_.size()};
  TRY(sys::write_at(fd_.get(), 0, std::as_bytes(std::span(&header, 1))));
  TRY(sys::rename_path(path_ + sys::kUnfinished, path_));
  fd_.reset();
  return {};
}

Result<PageCache> PageCache::open(const std::string& path) {
  UniqueFd fd = TRY(sys::open_path(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat status = TRY(sys::status_of(fd.get()));
  Header header{};
  TRY(sys::read_at(fd.get(), 0, std::as_writable_bytes(std::span(&header, 1))));
  bool sound = S_ISREG(status.st_mode) && status.st_uid == 0 && header.text == kText &&
               header.count <= kMostCachedPages &&
               static_cast<uint64_t>(status.st_size) == place_of(header.count) + header.count * sizeof(sys::Sha256);
  if (!sound) return error(ErrorKind::corrupt, path + " is not what a job left");
  return PageCache(std::move(fd), header.count);
}

Result<std::vector<uint64_t>> PageCache::beginnings() const {
  std::vector<uint64_t> beginnings;
  beginnings.reserve(count_);
  std::vector<sys::Sha256> piece(std::min<uint64_t>(count_, 4096));
  while (beginnings.size() < count_) {
    auto some = std::span(piece).first(std::min<uint64_t>(piece.size(), count_ - beginnings.size()));
    TRY(sys::read_at(fd_.get(), place_of(count_) + beginnings.size() * sizeof(sys::Sha256),
                     std::as_writable_bytes(some)));
    for (const sys::Sha256& digest : some) std::memcpy(&beginnings.emplace_back(), digest.data(), sizeof(uint64_t));
  }
  return beginnings;
}

Result<void> PageCache::read(uint64_t number, std::span<std::byte> into) const {
  if (number >= count_) return error(ErrorKind::corrupt, "a page of the cache that is not there");
  return sys::read_at(fd_.get(), place_of(number), into);
}

}  // namespace godwit::address_space
