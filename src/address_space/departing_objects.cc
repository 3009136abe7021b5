#include "address_space/departing_objects.h"

#include <algorithm>
#include <set>
#include <utility>

#include "sys/file.h"

namespace godwit::address_space {

namespace {

constexpr sys::AddressRange kAll{0, UINT64_MAX};

uint64_t round_up(uint64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

std::set<uint32_t> opened(const image::LogicalHost& host) {
  std::set<uint32_t> objects;
  for (const image::Description& description : host.descriptions()) {
    if (description.has_memory_file()) objects.insert(description.memory_file().shared_memory());
  }
  return objects;
}

}  // namespace

DepartingObjects::DepartingObjects(PageHasher hasher) : hasher_(std::move(hasher)), buffer_(kChunkBytes) {
  std::fill(buffer_.begin(), buffer_.end(), std::byte{1});  // touched now, not in the freeze
}

Result<DepartingObjects> DepartingObjects::create() { return DepartingObjects(TRY(PageHasher::with_random_key())); }

// What the destination does with these objects: see objects::SharedMemorySet::adapt.
void DepartingObjects::follow(const image::LogicalHost& host) {
  std::set<uint32_t> open = opened(host);
  std::map<uint32_t, Object> now;
  for (const image::SharedMemory& image : host.shared_memory()) {
    auto known = objects_.extract(image.id());
    Object object = known.empty() ? Object() : std::move(known.mapped());
    bool resizable = image.kind() == image::SharedMemory::MEMFD;
    bool kept = object.image.kind() == image.kind() && object.image.name() == image.name() &&
                (resizable || object.image.size() == image.size());
    if (!kept) object = Object();
    object.image = image;
    object.contents.resize(round_up(image.size()) / kPageBytes);
    object.was_open = std::exchange(object.open, open.contains(image.id()));
    now.emplace(image.id(), std::move(object));
  }
  objects_ = std::move(now);
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

Result<void> DepartingObjects::send(bool running, PageSender& sender, const FdOf& fd_of) {
  sender.set_running(running);
  for (auto& [id, object] : objects_) {
    if (!sender.stopped()) TRY(send_object(id, object, TRY(fd_of(id)), sender));
  }
  return {};
}

Result<void> DepartingObjects::send_object(uint32_t id, Object& object, int fd, PageSender& sender) {
  bool attachable = object.image.kind() == image::SharedMemory::SYSV;
  bool whole = object.unsure || object.open || object.was_open || attachable;
  std::vector<sys::AddressRange> ranges = object.missing.within(kAll);
  if (whole) ranges = {{0, object.end()}};
  if (whole) object.missing.add({0, object.end()});  // until it is sent
  for (sys::AddressRange range : ranges) {
    range.end = std::min(range.end, object.end());
    if (range.start < range.end && !sender.stopped()) TRY(send_range(id, object, fd, range, sender));
    if (!sender.stopped()) object.missing.remove(range);
  }
  object.unsure = false;
  return {};
}

// Data and holes in turn.
Result<void> DepartingObjects::send_range(uint32_t id, Object& object, int fd, sys::AddressRange range,
                                          PageSender& sender) {
  for (uint64_t at = range.start; at < range.end && !sender.stopped();) {
    auto extent = TRY(sys::next_data(fd, at));
    uint64_t data = extent ? std::clamp(extent->start / kPageBytes * kPageBytes, at, range.end) : range.end;
    TRY(drop(id, object, {at, data}, sender));
    if (data == range.end) return {};
    uint64_t end = std::min({round_up(extent->end), range.end, data + kChunkBytes});
    TRY(send_data(id, object, fd, {data, end}, sender));
    at = end;
  }
  return {};
}

// At most kChunkBytes.
Result<void> DepartingObjects::send_data(uint32_t id, Object& object, int fd, sys::AddressRange data,
                                         PageSender& sender) {
  TRY(sys::read_at(fd, data.start, std::span(buffer_).first(data.size())));
  std::vector<sys::AddressRange> changed;
  size_t kept = 0;
  for (uint64_t at = data.start; at < data.end; at += kPageBytes) {
    auto page = std::span<std::byte, kPageBytes>(&buffer_[at - data.start], kPageBytes);
    PageHash hash = hasher_(page);
    PageHash& there = object.contents[at / kPageBytes];
    if (hash == there) continue;
    redundant_pages_ += there == PageHash{} ? 0 : 1;
    there = hash;
    std::copy(page.begin(), page.end(), &buffer_[kept]);
    kept += kPageBytes;
    append_page(changed, at);
  }
  if (changed.empty()) return sender.ask_watch();
  return sender.send_object(id, changed, std::span(buffer_).first(kept));
}

// Content that the program gave up.
Result<void> DepartingObjects::drop(uint32_t id, Object& object, sys::AddressRange hole, PageSender& sender) {
  std::vector<sys::AddressRange> stale;
  for (uint64_t at = hole.start; at < hole.end; at += kPageBytes) {
    PageHash& there = object.contents[at / kPageBytes];
    if (there == PageHash{}) continue;
    there = {};
    append_page(stale, at);
  }
  return sender.drop_of_object(id, stale);
}

}  // namespace godwit::address_space
