#include "address_space/departing_objects.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "objects/shared_memory.h"
#include "sys/file.h"

namespace godwit::address_space {

namespace {

constexpr sys::AddressRange kAll{0, UINT64_MAX};
constexpr PageHash kNotKnown{~uint64_t{0}, ~uint64_t{0}};  // as unlikely a hash as any

uint64_t round_up(uint64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

std::set<uint32_t> opened(const image::LogicalHost& host) {
  std::set<uint32_t> objects, files;
  for (const image::Description& description : host.descriptions()) {
    if (description.has_memory_file()) objects.insert(description.memory_file().shared_memory());
    if (description.has_regular_file()) files.insert(description.regular_file().file());
  }
  for (const image::SharedMemory& image : host.shared_memory()) {
    if (files.contains(image.file())) objects.insert(image.id());
  }
  return objects;
}

}  // namespace

DepartingObjects::DepartingObjects(const PageHasher& hasher, std::set<uint32_t> in_place)
    : hasher_(hasher), in_place_(std::move(in_place)), buffer_(kChunkBytes) {
  std::fill(buffer_.begin(), buffer_.end(), std::byte{1});  // touched now, not in the freeze
}

Result<DepartingObjects> DepartingObjects::create(std::set<uint32_t> in_place) {
  return DepartingObjects(TRY(PageHasher::with_random_key()), std::move(in_place));
}

// What the destination does with these objects: see objects::SharedMemorySet::adapt.
void DepartingObjects::follow(const image::LogicalHost& host) {
  std::set<uint32_t> open = opened(host);
  std::map<uint32_t, Object> now;
  for (const image::SharedMemory& image : host.shared_memory()) {
    if (!travels(image)) continue;
    auto known = objects_.extract(image.id());
    Object object = known.empty() ? Object() : std::move(known.mapped());
    bool resizable = image.kind() == image::SharedMemory::MEMFD || image.kind() == image::SharedMemory::POOL_FILE;
    bool kept = objects::same_kind(object.image, image) && (resizable || object.image.size() == image.size());
    if (!kept) {
      object = Object();
      lost_.emplace_back(image.id(), kAll);
    }
    follow_size(object, image);
    object.was_open = std::exchange(object.open, open.contains(image.id()));
    now.emplace(image.id(), std::move(object));
  }
  for (const auto& [id, gone] : objects_) lost_.emplace_back(id, kAll);
  objects_ = std::move(now);
}

// Where it ends earlier now the destination has cut it off, within a page too; what the program has put there since
// then is not told by a hash of before.
void DepartingObjects::follow_size(Object& object, const image::SharedMemory& now) {
  if (now.size() < object.image.size()) {
    sys::AddressRange cut{now.size() / kPageBytes * kPageBytes, round_up(object.image.size())};
    lost_.emplace_back(now.id(), cut);
    if (PageHash& last = object.contents[cut.start / kPageBytes]; last != PageHash{}) last = kNotKnown;
    object.missing.add(cut);
  }
  object.image = now;
  object.contents.resize(round_up(now.size()) / kPageBytes);
}

void DepartingObjects::written(uint32_t object, sys::AddressRange offsets) {
  auto known = objects_.find(object);
  if (known != objects_.end()) known->second.missing.add(offsets);
}

void DepartingObjects::unsure(uint32_t object) {
  auto known = objects_.find(object);
  if (known != objects_.end()) known->second.unsure = true;
}

void DepartingObjects::unsure_of_all() {
  for (auto& [id, object] : objects_) object.unsure = true;
}

// What it has there instead counts as something, so that it goes if nothing follows.
void DepartingObjects::lacks(uint32_t object, std::span<const sys::AddressRange> offsets) {
  auto known = objects_.find(object);
  if (known == objects_.end()) return;
  std::vector<PageHash>& contents = known->second.contents;
  for (sys::AddressRange range : offsets) {
    range.end = std::min(range.end, known->second.end());
    for (uint64_t at = range.start; at < range.end; at += kPageBytes) contents[at / kPageBytes] = kNotKnown;
    if (range.start < range.end) known->second.missing.add(range);
  }
}

Result<void> DepartingObjects::send(bool running, PageSender& sender, const FdOf& fd_of) {
  sender.set_running(running);
  for (const auto& [id, range] : std::exchange(lost_, {})) sender.forget(PageOwner::object(id), std::span(&range, 1));
  for (auto& [id, object] : objects_) {
    if (!sender.stopped()) TRY(send_object(object, TRY(fd_of(id)), sender));
  }
  return {};
}

Result<void> DepartingObjects::send_object(Object& object, int fd, PageSender& sender) {
  bool attachable = object.image.kind() == image::SharedMemory::SYSV || object.image.has_links();
  bool whole = object.unsure || object.open || object.was_open || attachable;
  std::vector<sys::AddressRange> ranges = object.missing.within(kAll);
  if (whole) ranges = {{0, object.end()}};
  if (whole) object.missing.add({0, object.end()});  // until it is sent
  for (sys::AddressRange range : ranges) {
    range.end = std::min(range.end, object.end());
    if (range.start < range.end && !sender.stopped()) TRY(send_range(object, fd, range, sender));
    if (!sender.stopped()) object.missing.remove(range);
  }
  object.unsure = false;
  return flush(object, fd, sender);
}

// Extents are looked for in long ranges only: the kernel goes through all pages of one to find its end.
Result<void> DepartingObjects::send_range(Object& object, int fd, sys::AddressRange range, PageSender& sender) {
  uint64_t at = range.start;
  while (at < range.end && !sender.stopped()) {
    sys::AddressRange data{at, range.end};
    if (data.size() > kChunkBytes) {
      auto extent = TRY(sys::next_data(fd, at));
      data.start = extent ? std::clamp(extent->start / kPageBytes * kPageBytes, at, range.end) : range.end;
      data.end = extent ? std::clamp(round_up(extent->end), data.start, range.end) : range.end;
      for (; at < data.start; at += kPageBytes) note_hole(object, at);
    }
    for (; at < data.end && !sender.stopped();) {
      uint64_t end = std::min(data.end, at + (buffer_.size() - kept_));
      TRY(compare(object, fd, {at, end}));
      at = end;
      if (kept_ == buffer_.size() || changed_.size() > kRangesPerChunk / 2) TRY(flush(object, fd, sender));
    }
  }
  return {};
}

// Reads behind what is kept in the buffer, and keeps what differs. The destination has no room for what has come behind
// the end that it knows of: it gets that when it has heard of it.
Result<void> DepartingObjects::compare(Object& object, int fd, sys::AddressRange data) {
  std::span<std::byte> read = std::span(buffer_).subspan(kept_, data.size());
  TRY(sys::read_at(fd, data.start, read));
  uint64_t size = object.image.size();
  if (data.end > size) std::ranges::fill(read.last(data.end - size), std::byte{0});
  for (size_t i = 0; i < read.size(); i += kPageBytes) {
    std::span<std::byte> page = read.subspan(i, kPageBytes);
    uint64_t at = data.start + i;
    if (all_zero(page.data())) {
      note_hole(object, at);
      continue;
    }
    PageHash hash = hasher_(page.first<kPageBytes>());
    PageHash& there = object.contents[at / kPageBytes];
    if (hash == there) continue;
    redundant_pages_ += there == PageHash{} ? 0 : 1;
    there = hash;
    if (page.data() != &buffer_[kept_]) std::memcpy(&buffer_[kept_], page.data(), kPageBytes);
    kept_ += kPageBytes;
    append_page(changed_, at);
  }
  return {};
}

// Where the program has given up content, or has zeros.
void DepartingObjects::note_hole(Object& object, uint64_t page) {
  PageHash& there = object.contents[page / kPageBytes];
  if (std::exchange(there, {}) != PageHash{}) append_page(holes_, page);
}

Result<void> DepartingObjects::flush(const Object& object, int fd, PageSender& sender) {
  uint32_t id = object.image.id();
  std::vector<sys::AddressRange> changed = std::exchange(changed_, {});
  TRY(sender.drop_of_object(id, std::exchange(holes_, {})));
  if (changed.empty()) return sender.ask_watch();
  return sender.send_object(id, fd, changed, std::span(buffer_).first(std::exchange(kept_, 0)));
}

}  // namespace godwit::address_space
