#include "migration/earlier_visit.h"

#include <algorithm>
#include <cstring>

#include "address_space/page_frame.h"
#include "migration/exchange.h"
#include "sys/file.h"

namespace godwit::migration {

using transport::FrameType;

namespace {

constexpr size_t kAtOnce = size_t{1} << 16;  // beginnings in a frame

}  // namespace

std::optional<address_space::PageCache> open_cache(const worker::JobPlace& place, const worker::MoveOptions& options) {
  bool of_use = options.cache() && (options.memory() == "precopy" || options.memory() == "hybrid");
  if (!of_use) return std::nullopt;
  auto cache = address_space::PageCache::open(address_space::page_cache_of(place.state_directory()));
  return cache ? std::optional(std::move(*cache)) : std::nullopt;
}

Result<void> tell_cached(transport::Connection& connection, const std::optional<address_space::PageCache>& cache) {
  std::vector<uint64_t> beginnings;
  if (cache) {
    auto read = cache->beginnings();
    if (read) beginnings = std::move(*read);
  }
  std::span<const uint64_t> rest(beginnings);
  while (!rest.empty()) {
    auto part = rest.first(std::min(rest.size(), kAtOnce));
    TRY(connection.send(FrameType::page_digests, std::as_bytes(part)));
    rest = rest.subspan(part.size());
  }
  TRY(connection.send(FrameType::page_digests));
  return connection.flush();
}

Result<std::vector<uint64_t>> receive_cached(transport::Connection& connection, uint64_t memory_bytes) {
  const uint64_t most = 2 * memory_bytes / address_space::kPageBytes;
  std::vector<uint64_t> beginnings;
  size_t told = 0;
  for (;;) {
    transport::Frame frame = TRY(connection.receive());
    if (frame.type == FrameType::abort) return abort_reason(frame);
    size_t count = frame.payload.size() / sizeof(uint64_t);
    bool sound = frame.type == FrameType::page_digests && frame.payload.size() % sizeof(uint64_t) == 0 &&
                 count <= address_space::kMostCachedPages - told;
    if (!sound) return error(ErrorKind::corrupt, "the other node tells of its cache in a way that makes no sense");
    if (count == 0) return beginnings;
    told += count;
    size_t before = beginnings.size();
    size_t taken = std::min<uint64_t>(count, most - before);
    beginnings.resize(before + taken);
    std::memcpy(beginnings.data() + before, frame.payload.data(), taken * sizeof(uint64_t));
  }
}

void forget_visit(const worker::JobPlace& place) {
  (void)sys::remove_path(address_space::page_cache_of(place.state_directory()));
}

}  // namespace godwit::migration
