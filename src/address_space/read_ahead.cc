#include "address_space/read_ahead.h"

#include <algorithm>

#include "address_space/page_stream.h"

namespace godwit::address_space {

namespace {

constexpr uint64_t kFewestWithMarker = 4;  // pages
constexpr double kWeight = 0.2;            // of the wait that was measured last
constexpr double kRise = 1.1;              // of the least time for a page, with each that took longer

}  // namespace

uint64_t ReadAhead::Window::pages() const { return (end - start) / kPageBytes; }

uint64_t ReadAhead::Window::marker() const {
  return pages() < kFewestWithMarker ? 0 : start + pages() / 2 * kPageBytes;
}

ReadAhead::Window* ReadAhead::holding(uint64_t page) {
  auto found = std::ranges::find_if(windows_, [&](const Window& w) { return page >= w.start && page < w.end; });
  return found == windows_.end() ? nullptr : &*found;
}

ReadAhead::Window* ReadAhead::ended_by(uint64_t page) {
  auto found = std::ranges::find_if(windows_, [&](const Window& w) { return w.end != 0 && page == w.end; });
  return found == windows_.end() ? nullptr : &*found;
}

void ReadAhead::found_used(Window& window) {
  if (window.used) return;
  window.used = true;
  used_ += window.ahead;
  first_pages_ = std::min(first_pages_ * 2, kMostPages);
}

sys::AddressRange ReadAhead::open(uint64_t start, uint64_t pages, bool waited_for) {
  Window& window = windows_[oldest_];
  oldest_ = (oldest_ + 1) % kWindows;
  if (!window.used) first_pages_ = std::max(first_pages_ / 2, least_pages_);
  pages = std::min(pages, (UINT64_MAX - start) / kPageBytes);
  window = {start, start + pages * kPageBytes, waited_for ? pages - 1 : pages, false};
  ahead_ += window.ahead;
  return {window.start, window.end};
}

std::optional<sys::AddressRange> ReadAhead::fetch(uint64_t page) {
  if (Window* under_way = holding(page)) {
    if (page != under_way->start) found_used(*under_way);
    return std::nullopt;
  }
  Window* before = ended_by(page);
  if (before == nullptr) return open(page, first_pages_, true);
  found_used(*before);
  return open(page, std::min(before->pages() * 2, kMostPages), true);
}

void ReadAhead::note_answer(std::chrono::nanoseconds waited, uint64_t others, std::chrono::nanoseconds they_took) {
  if (others == 0) return;
  auto wait = static_cast<double>(waited.count());
  auto page = static_cast<double>(they_took.count()) / static_cast<double>(others);
  bool first = page_ns_ <= 0;
  wait_ns_ = first ? wait : wait_ns_ + kWeight * (wait - wait_ns_);
  page_ns_ = std::max(1.0, first ? page : std::min(page, page_ns_ * kRise));  // longer ones waited for a processor
  double meanwhile = wait_ns_ / page_ns_;
  least_pages_ = static_cast<uint64_t>(std::clamp(meanwhile, double{kFewestPages}, double{kFirstPages}));
  first_pages_ = std::max(first_pages_, least_pages_);
}

bool ReadAhead::is_marker(uint64_t page) const {
  return std::ranges::any_of(windows_, [&](const Window& w) { return !w.used && w.marker() == page; });
}

std::optional<sys::AddressRange> ReadAhead::came_to(uint64_t page) {
  auto found = std::ranges::find_if(windows_, [&](const Window& w) { return !w.used && w.marker() == page; });
  if (found == windows_.end()) return std::nullopt;
  found_used(*found);
  if (holding(found->end) != nullptr) return std::nullopt;  // that is on its way
  return open(found->end, std::min(found->pages() * 2, kMostPages), false);
}

}  // namespace godwit::address_space
