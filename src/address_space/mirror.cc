#include "address_space/mirror.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <utility>

#include "address_space/page_frame.h"
#include "sys/durable_file.h"
#include "sys/file.h"

namespace godwit::address_space {

namespace {

constexpr uint64_t kMostRanges = uint64_t{1} << 24;
constexpr uint64_t kMostOrderBytes = 16 << 20;

struct Header {
  std::array<char, 16> text;
  uint64_t order_bytes, ranges;
};
constexpr std::array<char, 16> kText{'g', 'o', 'd', 'w', 'i', 't', ' ', 'm', 'i', 'r', 'r', 'o', 'r', ' ', '1', '\n'};

struct StoredRange {
  uint64_t pid, start, end;
};

constexpr uint64_t content_offset(const Header& header) {
  uint64_t end = sizeof(Header) + header.order_bytes + header.ranges * sizeof(StoredRange);
  return (end + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

MirrorWriter::MirrorWriter(std::string path, UniqueFd fd)
    : path_(std::move(path)), fd_(std::move(fd)), buffer_(kChunkBytes) {
  std::fill(buffer_.begin(), buffer_.end(), std::byte{1});  // touched now, not in the freeze
}

void remove_mirror(const std::string& path) {
  (void)sys::remove_path(path + sys::kUnfinished);
  (void)sys::remove_path(path);
}

MirrorWriter::~MirrorWriter() {
  if (fd_.valid()) remove_mirror(path_);
}

Result<MirrorWriter> MirrorWriter::create(const std::string& path, uint64_t most_bytes) {
  MirrorWriter writer(path, TRY(sys::begin_file(path)));
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code failed;
  auto space = std::filesystem::space(directory, failed);
  if (!failed && space.available < most_bytes) {
    return error(ErrorKind::exhausted, directory.string() + " has room for " + std::to_string(space.available >> 20) +
                                           " MiB of the mirror, which may take " + std::to_string(most_bytes >> 20) +
                                           " MiB; move it without --mirror, or make room");
  }
  return writer;
}

Result<void> MirrorWriter::write(const std::string& order, std::span<const Part> parts) {
  std::vector<StoredRange> ranges;
  for (const Part& part : parts) {
    for (const sys::AddressRange& range : part.pages->within(sys::kEverywhere)) {
      ranges.push_back({static_cast<uint64_t>(part.pid), range.start, range.end});
    }
  }
  Header header{kText, order.size(), ranges.size()};
  TRY(sys::write_at(fd_.get(), 0, std::as_bytes(std::span(&header, 1))));
  TRY(sys::write_at(fd_.get(), sizeof header, std::as_bytes(std::span(order))));
  TRY(sys::write_at(fd_.get(), sizeof header + order.size(), std::as_bytes(std::span(ranges))));
  uint64_t at = content_offset(header);
  for (const Part& part : parts) TRY(copy(part.host_pid, *part.pages, at));
  return sys::name_durably(fd_.get(), path_);
}

// What the program itself may not read at present is in the file too.
Result<void> MirrorWriter::copy(pid_t host_pid, const RangeSet& pages, uint64_t& at) {
  auto memory = TRY(sys::MemoryFile::open(host_pid));
  for (const sys::AddressRange& range : pages.within(sys::kEverywhere)) {
    for (uint64_t from = range.start; from < range.end; from += kChunkBytes) {
      std::span<std::byte> bytes = std::span(buffer_).first(std::min<uint64_t>(kChunkBytes, range.end - from));
      TRY(memory.read(from, bytes));
      TRY(sys::write_at(fd_.get(), at, bytes));
      at += bytes.size();
      pages_ += bytes.size() / kPageBytes;
    }
  }
  return {};
}

Result<Mirror> Mirror::open(const std::string& path) {
  Mirror mirror;
  mirror.fd_ = TRY(sys::open_path(path, O_RDONLY | O_NOFOLLOW));
  Header header{};
  TRY(sys::read_at(mirror.fd_.get(), 0, std::as_writable_bytes(std::span(&header, 1))));
  bool sound = header.text == kText && header.order_bytes > 0 && header.order_bytes <= kMostOrderBytes &&
               header.ranges > 0 && header.ranges <= kMostRanges;
  if (!sound) {
    return error(ErrorKind::corrupt, path + " is no mirror of memory");
  }
  mirror.order_.resize(header.order_bytes);
  TRY(sys::read_at(mirror.fd_.get(), sizeof header, std::as_writable_bytes(std::span(mirror.order_))));
  std::vector<StoredRange> ranges(header.ranges);
  TRY(sys::read_at(mirror.fd_.get(), sizeof header + header.order_bytes, std::as_writable_bytes(std::span(ranges))));
  uint64_t at = content_offset(header);
  uint64_t size = TRY(sys::file_size(mirror.fd_.get()));
  for (const StoredRange& range : ranges) {
    bool whole = range.start < range.end && range.start % kPageBytes == 0 && range.end % kPageBytes == 0 &&
                 at <= size && range.end - range.start <= size - at;
    if (!whole) return error(ErrorKind::corrupt, path + " is not whole");
    auto pid = static_cast<pid_t>(range.pid);
    mirror.pages_[pid].add({range.start, range.end});
    mirror.places_[{pid, range.start}] = {range.end, at};
    at += range.end - range.start;
  }
  return mirror;
}

Result<void> Mirror::read(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<std::byte> into) const {
  for (const sys::AddressRange& range : ranges) {
    auto behind = places_.upper_bound({pid, range.start});
    auto place = behind == places_.begin() ? places_.end() : std::prev(behind);
    bool there = place != places_.end() && place->first.first == pid && range.end <= place->second.end &&
                 range.size() <= into.size();
    if (!there) return error(ErrorKind::corrupt, "pages that the mirror does not have");
    uint64_t offset = place->second.offset + (range.start - place->first.second);
    TRY(sys::read_at(fd_.get(), offset, into.first(range.size())));
    into = into.subspan(range.size());
  }
  return {};
}

}  // namespace godwit::address_space
